"""Runs any signature for many callers, and together where that is right.

Rows of several callers run as one batch if

- all inputs and outputs of the signature have rows (their first dimension is of any size),
- it keeps no state, and
- at the warm-up a batch gave what its rows gave alone.

Only rows of equal shape run together: nothing is ever padded. Whatever else runs alone. Either way at most
`concurrent_runs` runs go on at a time, by the rules of `Batcher`.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tfleet.worker.inference.batcher import Batcher
from tfleet.worker.inference.errors import OversizedRunError
from tfleet.worker.inference.rows import choose_rows, split_rows
from tfleet.worker.model.errors import first_line
from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from tfleet.worker.inference.model_session import ModelSession, Tensors
    from tfleet.worker.inference.postprocess import Postprocess
    from tfleet.worker.model.signature import Signature


@dataclass(frozen=True, slots=True)
class SignatureResult:
    """One caller's outputs by name, and the number of callers that ran together.

    `queue_s` is the time from the call to the start of the run, `infer_s` that of the run, in seconds.
    """

    outputs: Tensors
    batch: int
    queue_s: float
    infer_s: float


@dataclass(frozen=True, slots=True)
class _RowsAsked:
    """What a caller asks. `bucket` is None for what runs alone."""

    signature: Signature
    inputs: Tensors
    rows: int
    bucket: Hashable


class Predictor:
    """Calls a session for many threads. `max_rows` is the most rows of a batch of several callers."""

    def __init__(self, session: ModelSession, max_rows: int = 1) -> None:
        self._session = session
        self.max_rows = max_rows
        self.batched: Collection[str] = frozenset()
        """The signatures that run for several callers at once."""
        self.postprocess: Postprocess | None = None
        """Makes the answer of the outputs of the default signature."""
        self._required = {
            name: sum(not info.optional for info in each.inputs) for name, each in session.signatures.items()
        }
        self._batcher: Batcher[_RowsAsked, Tensors] = Batcher(
            self._run, self._choose, lambda: session.concurrent_runs
        )

    def __repr__(self) -> str:
        return f"<Predictor batched={sorted(self.batched)} waiting={self.waiting}>"

    @property
    def waiting(self) -> int:
        """How many callers wait for a run."""
        return self._batcher.waiting

    def __call__(
        self, signature: str, inputs: Tensors, *, rows: int | None, deadline_s: float | None = None
    ) -> SignatureResult:
        """Run a signature. `rows` is the number of rows that all inputs have; None if they are no rows.

        Raises `BadInputError` (`OversizedRunError` where memory runs out), `UnknownSignatureError`,
        `OverdueError` after the deadline (in seconds, by `time.perf_counter`), and TensorFlow's errors.
        """
        asked = self._session.check(signature, inputs)
        bucket = None if rows is None or rows > self.max_rows else self._bucket(asked, inputs)
        try:
            result = self._batcher(_RowsAsked(asked, inputs, rows or 1, bucket), deadline_s)
        except tf.errors.ResourceExhaustedError as error:
            raise OversizedRunError(
                f"the model needs more memory for this input than the worker has: {first_line(error)}"
            ) from error
        outputs = result.row
        if self.postprocess is not None and asked.name == self._session.default:
            outputs = self.postprocess(dict(outputs))
        return SignatureResult(outputs, result.batch, result.queue_s, result.infer_s)

    def _bucket(self, signature: Signature, inputs: Tensors) -> Hashable:
        # An optional input may be for the whole run, such as a rate: it stays with its own rows.
        if signature.name not in self.batched or len(inputs) > self._required[signature.name]:
            return None
        return signature.name, *(
            inputs[info.name].shape[1:] for info in signature.inputs if info.name in inputs
        )

    def _choose(self, waiting: Sequence[_RowsAsked]) -> Sequence[int]:
        return choose_rows([(asked.bucket, asked.rows) for asked in waiting], self.max_rows)

    def _run(self, batch: Sequence[_RowsAsked]) -> list[Tensors]:
        first = batch[0]
        if len(batch) == 1:
            return [self._session.run_checked(first.signature, first.inputs)]
        inputs = {name: np.concatenate([asked.inputs[name] for asked in batch]) for name in first.inputs}
        return split_rows(self._session.run_checked(first.signature, inputs), [asked.rows for asked in batch])
