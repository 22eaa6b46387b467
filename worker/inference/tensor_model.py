"""A model that is asked with arrays: tables, text, sequences and tensors of any kind."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tfleet.worker.inference.batch_check import BatchCheck, check_batches, unwanted_batches
from tfleet.worker.inference.errors import BadInputError
from tfleet.worker.inference.postprocess import load_postprocess
from tfleet.worker.inference.predictor import Predictor
from tfleet.worker.inference.row_scores import row_scores
from tfleet.worker.model.errors import ModelError, first_line
from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from tfleet.worker.inference.examples import Rows
    from tfleet.worker.inference.model_session import ModelSession


class TensorModel:
    """Any model in its session. All methods may be called from any thread."""

    classifier = None

    def __init__(self, session: ModelSession, examples: Mapping[str, Rows] = MappingProxyType({})) -> None:
        self.spec = session.spec
        self.facts = session.facts
        self.session = session
        default = None if session.default is None else session.signatures[session.default]
        self.scores = row_scores(session.spec, default, session.graph_facts)
        self.examples = examples
        """Rows to warm up with, by signature; inputs are generated for signatures that have none."""
        self.predictor = Predictor(session)
        self.predictor.postprocess = load_postprocess(session.spec, session.facts)
        if self.predictor.postprocess is not None and self.scores is not None:
            raise ModelError(f"{self.spec.origin}: has labels and output.function: remove one of them")
        self.concurrent_runs = session.concurrent_runs
        self.batch_sizes: tuple[int, ...] = (1,)
        self.checks: tuple[BatchCheck, ...] = ()
        """What the warm-up found out of each signature."""

    @property
    def form(self) -> str:
        """What became of a SavedModel's variables; see `ModelSession`."""
        return self.session.form

    def warm_up(self, sizes: Sequence[int] = (1,)) -> float:
        """Run each signature with inputs that fit it, and find out which of them answer batches rightly.

        Returns the seconds it took. Raises `ModelError` if the default signature cannot run at all; inputs
        that the model rejects are no reason, since nobody has said which are right.
        """
        started = time.perf_counter()
        self.checks = tuple(self._with_sizes(self._checked(name), sizes) for name in self.session.signatures)
        if max(sizes) > 1:
            self.predictor.batched = frozenset(check.signature for check in self.checks if check.batched)
        if self.predictor.batched:
            self.predictor.max_rows = max(sizes)
            self.batch_sizes = tuple(sorted(sizes))
        if self.predictor.postprocess is not None:
            self._try_postprocess()
        if any(signature.stateful for signature in self.session.signatures.values()):
            self.session.restore()
        return time.perf_counter() - started

    def close(self) -> None:
        """Close the session. No run may be in progress. A second call has no effect."""
        self.predictor.close()
        self.session.close()

    def __repr__(self) -> str:
        state = "closed" if self.session.closed else "open"
        return f"TensorModel({self.spec.label}, {self.facts.kind.value}, {state})"

    def _try_postprocess(self) -> None:
        """Call the model's own function once. Raises `ModelError` if it fails."""
        for check in self.checks:
            if check.signature == self.session.default and check.inputs is not None:
                try:
                    self.predictor(check.signature, check.inputs, rows=None)
                except (tf.errors.OpError, BadInputError):
                    return
                except Exception as error:  # of any kind: it is somebody else's code
                    problem = f"{type(error).__name__}: {first_line(error)}"
                    raise ModelError(f"{self.spec.origin}: output.function fails: {problem}") from error

    def _checked(self, name: str) -> BatchCheck:
        session = self.session
        graph = session.graph_facts if name == session.default else None
        try:
            return check_batches(
                session.run,
                session.signatures[name],
                self.examples.get(name, ()),
                graph,
                unwanted_batches(self.spec),
            )
        except tf.errors.OpError as error:
            problem = first_line(error)
            if name == session.default:
                raise ModelError(f"{self.spec.origin}: the graph does not run: {problem}") from error
            return BatchCheck(name, None, f"it does not run: {problem}")

    def _with_sizes(self, check: BatchCheck, sizes: Sequence[int]) -> BatchCheck:
        """Run batches of all sizes once, so that TensorFlow has planned them."""
        if not check.batched or check.inputs is None:
            return check
        try:
            for size in sizes:
                inputs = {name: np.repeat(array, size, axis=0) for name, array in check.inputs.items()}
                self.session.run(check.signature, inputs)
        except (tf.errors.OpError, BadInputError) as error:
            return replace(check, obstacle=f"a larger batch fails: {first_line(error)}")
        return check
