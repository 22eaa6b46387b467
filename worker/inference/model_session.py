"""The one TensorFlow session of a worker, whatever its model: it runs any of the model's signatures.

The session is created once, shared by all threads and closed once. `tf.compat.v1.Session` is thread-safe, so
there is no lock around a run, except where the model keeps state.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tfleet.runtime.cpus import usable_cpus
from tfleet.worker.inference.errors import BadInputError, UnknownSignatureError
from tfleet.worker.inference.session_config import concurrent_runs_on, configuration
from tfleet.worker.model.dtypes import numpy_dtype
from tfleet.worker.model.embedding import in_space
from tfleet.worker.model.errors import ModelError, first_line
from tfleet.worker.model.open import open_model
from tfleet.worker.model.signature import Signature, TensorInfo, shape_text
from tfleet.worker.model.tensorflow import CallableOptions, tf

if TYPE_CHECKING:
    from typing import Self

    from tfleet.worker.inference.precision import Precision
    from tfleet.worker.model.embedding import Embedding
    from tfleet.worker.model.open import OpenModel
    from tfleet.worker.model.spec import ModelSpec

Tensors: TypeAlias = Mapping[str, npt.NDArray[Any]]
"""Arrays by the names of a signature's inputs or outputs. Strings are arrays of objects, each one `bytes`."""

_Call: TypeAlias = Callable[..., Sequence[npt.NDArray[Any]]]


class ModelSession:
    """A model in its session. All methods may be called from any thread."""

    def __init__(self, spec: ModelSpec, opened: OpenModel, concurrent_runs: int) -> None:
        self.spec = spec
        self.signatures = opened.signatures
        self.facts = opened.facts
        self.graph_facts = opened.graph_facts
        self.restore = opened.restore
        """Sets the variables of a model that was not frozen to their saved values again."""
        self._opened = opened
        self.concurrent_runs = concurrent_runs
        """The best number of runs at a time while there is enough to do; 1 if any signature keeps state."""
        stateful = any(each.stateful for each in self.signatures.values())
        self.turn: AbstractContextManager[Any] = threading.Lock() if stateful else nullcontext()
        """Each run holds it. Two runs of a model with state must not overlap, and they may come from two
        queues: that of an image model's default signature, and that of all others."""
        self.tf_session = opened.session
        self._calls: dict[tuple[str, frozenset[str] | None], _Call] = {}
        self._composite = frozenset(
            name
            for name, each in self.signatures.items()
            if not all(info.tensor for info in (*each.inputs, *each.outputs))
        )
        self._dtypes = {
            name: tuple((info, numpy_dtype(info.dtype)) for info in each.inputs)
            for name, each in self.signatures.items()
        }
        self._making = threading.Lock()
        self._closing = threading.Lock()
        self._closed = False

    @classmethod
    def load(
        cls,
        spec: ModelSpec,
        *,
        cpus: int | None = None,
        precision: Precision = "float32",
        session_factory: Callable[..., Any] = tf.compat.v1.Session,
    ) -> Self:
        """Load the model into a new session on `cpus` CPUs, by default all that the process may use.

        Raises `ModelError`; no session is left open then.
        """
        cpus = usable_cpus() if cpus is None else cpus
        config = configuration(cpus, precision)
        opened = open_model(spec, lambda graph: session_factory(graph=graph, config=config))
        try:
            opened = replace(opened, embedding=in_space(opened.embedding, spec, precision))
        except ModelError:
            opened.session.close()
            raise
        # Two runs at a time would lose updates: both read a variable before either writes it.
        stateful = any(each.stateful for each in opened.signatures.values())
        return cls(spec, opened, 1 if stateful else concurrent_runs_on(cpus))

    @property
    def default(self) -> str | None:
        """The signature for requests that name none; None where the model has several and none is meant."""
        return self.facts.signature.value

    @property
    def form(self) -> str:
        """What became of a SavedModel's variables, in a few words; empty for a frozen graph."""
        return self._opened.form

    @property
    def embedding(self) -> Embedding | None:
        """What has a vector for each image; None if the model names none."""
        return self._opened.embedding

    def signature(self, name: str | None = None) -> Signature:
        """The signature of this name, or the default one. Raises `UnknownSignatureError`."""
        name = self.default if name is None else name
        if name is not None and name in self.signatures:
            return self.signatures[name]
        there = ", ".join(self.signatures)
        if name is None:
            raise UnknownSignatureError(f"the model has several signatures: name one of {there}")
        raise UnknownSignatureError(f"the model has no signature {name[:100]!r}; it has {there}")

    def run(self, signature_name: str, inputs: Tensors) -> dict[str, npt.NDArray[Any]]:
        """Run a signature once, with the arrays as they are, and return its outputs by name.

        Raises `BadInputError` if the inputs do not fit it or the model rejects their values,
        `UnknownSignatureError`, and TensorFlow's errors for what is not the inputs' fault.
        """
        return self.run_checked(self.check(signature_name, inputs), inputs)

    def run_checked(self, signature: Signature, inputs: Tensors) -> dict[str, npt.NDArray[Any]]:
        """Run a signature whose inputs `check` has looked at. Raises as `run` does."""
        given = [info for info in signature.inputs if info.name in inputs]
        call = self._call(signature, given)
        try:
            with self.turn:
                rows = call(*[_aligned(inputs[info.name]) for info in given])
        except (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError) as error:
            raise BadInputError(f"the model rejects the input: {first_line(error)}") from error
        return {info.name: array for info, array in zip(signature.outputs, rows, strict=True)}

    def check(self, signature_name: str, inputs: Tensors, *, any_shape: bool = False) -> Signature:
        """Raise `BadInputError` or `UnknownSignatureError` where `run` would before it runs anything.

        With `any_shape` a signature that computes its values one by one takes other shapes than it states.
        """
        signature = self.signature(signature_name)
        if signature.name in self._composite:
            raise BadInputError(
                f"the signature {signature.name} has a sparse or composite tensor, which no request can carry"
            )
        any_shape = any_shape and signature.by_value
        given, other_shapes = 0, False
        for info, dtype in self._dtypes[signature.name]:
            array = inputs.get(info.name)
            if array is not None:
                given += 1
                _check_dtype(info, dtype, array)
                if not fits(info.shape, array.shape):
                    if not any_shape:
                        raise _wrong_shape(info, array)
                    other_shapes = True
            elif not info.optional:
                raise BadInputError(f"the input {info} is missing")
        if given < len(inputs):
            known = [info.name for info in signature.inputs]
            unknown = next(name for name in inputs if name not in known)
            raise BadInputError(
                f"there is no input {unknown[:100]!r}; the inputs of {signature.name} are {', '.join(known)}"
            )
        if other_shapes and len({array.shape for array in inputs.values() if array.size != 1}) > 1:
            # Two that TensorFlow broadcasts could make a result of terabytes.
            raise BadInputError(
                f"the inputs of {signature.name} have different shapes, and none that it states"
            )
        return signature

    def close(self) -> None:
        """Close the session. No run may be in progress. A second call has no effect."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self.tf_session.close()

    @property
    def closed(self) -> bool:
        return self._closed

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"ModelSession({self.spec.label}, {len(self.signatures)} signatures, {state})"

    def _call(self, signature: Signature, given: Sequence[TensorInfo]) -> _Call:
        complete = len(given) == len(signature.inputs)
        key = signature.name, None if complete else frozenset(info.name for info in given)
        call = self._calls.get(key)
        if call is None:
            with self._making:
                call = self._calls.get(key) or self._make(signature, given)
                self._calls[key] = call
        return call

    def _make(self, signature: Signature, given: Sequence[TensorInfo]) -> _Call:
        feeds = [info.tensor for info in given]
        fetches = [info.tensor for info in signature.outputs]
        session = self.tf_session
        # Session.run looks up names and converts values anew in each run, which takes several times as long
        # as a small model itself. This prepares the call once. It has no public name in TensorFlow.
        make = getattr(session, "_make_callable_from_options", None)
        if make is None:
            return lambda *values: session.run(fetches, dict(zip(feeds, values, strict=True)))
        call: _Call = make(CallableOptions(feed=feeds, fetch=fetches))
        return call


def _aligned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array itself, or a copy of one at an odd address, for which TensorFlow takes longer than a copy."""
    return array if array.flags.aligned else array.copy()


def _check_dtype(info: TensorInfo, dtype: np.dtype[Any] | None, array: npt.NDArray[Any]) -> None:
    if array.dtype != dtype:
        raise BadInputError(f"the input {info} was given as {_dtype_text(array.dtype)}")


def _wrong_shape(info: TensorInfo, array: npt.NDArray[Any]) -> BadInputError:
    return BadInputError(f"the input {info} was given with the shape {shape_text(array.shape)}")


def fits(shape: tuple[int | None, ...] | None, given: tuple[int, ...]) -> bool:
    """Whether an array of the shape `given` fits a tensor's shape."""
    if shape is None:
        return True
    if len(shape) != len(given):
        return False
    # A loop, since this runs for each input of each request, and all() with a generator takes twice as long.
    for size, found in zip(shape, given, strict=True):  # noqa: SIM110 - see above
        if size is not None and size != found:
            return False
    return True


def _dtype_text(dtype: np.dtype[Any]) -> str:
    return "strings" if dtype.kind == "O" else dtype.name
