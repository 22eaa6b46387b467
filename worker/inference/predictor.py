"""Runs any signature for many callers, and together where that is right.

Rows of several callers run as one batch if

- all inputs and outputs of the signature have rows (their first dimension is of any size),
- it keeps no state, and
- at the warm-up a batch gave what its rows gave alone.

Only rows of equal shape run together: nothing is ever padded. Whatever else runs alone. Either way at most
`concurrent_runs` runs go on at a time, by the rules of `Batcher`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tfleet.worker.inference.batch_callers import BatchResult, Delivery, Submission
from tfleet.worker.inference.batcher import Batcher
from tfleet.worker.inference.errors import OversizedRunError
from tfleet.worker.inference.model_session import fits
from tfleet.worker.inference.rows import choose_rows, split_rows
from tfleet.worker.model.errors import first_line
from tfleet.worker.model.tensorflow import tf
from tfleet.worker.thread_pool import ThreadPool

if TYPE_CHECKING:
    from tfleet.worker.inference.model_session import ModelSession, Tensors
    from tfleet.worker.inference.postprocess import Postprocess
    from tfleet.worker.model.signature import Signature

_JOIN_S: Final = 0.1
"""When a model is closed its runs have ended, or have to be left behind."""


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
class RowsAsked:
    """What a caller asks, checked. `bucket` is None for what runs alone."""

    signature: Signature
    inputs: Tensors
    rows: int
    bucket: Hashable


@dataclass(frozen=True, slots=True)
class _BatchJob:
    """A job for a thread: one batch."""

    run: Callable[[], None]

    def cancel(self) -> None:
        """The worker ends: nobody waits for the batch any more."""


class Predictor:
    """Calls a session for many threads, and for callers without one. `max_rows` is the most rows of a batch
    of several callers.
    """

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
        self._batcher: Batcher[RowsAsked, Tensors] = Batcher(
            self._run, self._choose, lambda: session.concurrent_runs
        )
        self._threads: ThreadPool | None = None
        """Run the batches of callers that have no thread, once there are any."""

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
        return self.run(self.ask(signature, inputs, rows=rows), deadline_s)

    def ask(self, signature: str, inputs: Tensors, *, rows: int | None, any_shape: bool = False) -> RowsAsked:
        """Check the inputs of a run. Raises `BadInputError` and `UnknownSignatureError`.

        With `any_shape` inputs of shapes that the signature does not state run as well, if it computes its
        values one by one. They run alone: the warm-up has not seen that such rows may run together.
        """
        asked = self._session.check(signature, inputs, any_shape=any_shape)
        alone = rows is None or rows > self.max_rows or (any_shape and not _all_fit(asked, inputs))
        bucket = None if alone else self._bucket(asked, inputs)
        return RowsAsked(asked, inputs, rows or 1, bucket)

    def run(self, asked: RowsAsked, deadline_s: float | None = None) -> SignatureResult:
        """Run what was asked, in this thread or while it waits. Raises as a call does."""
        try:
            result = self._batcher(asked, deadline_s)
        except tf.errors.ResourceExhaustedError as error:
            raise _oversized(error) from error
        return self._result(asked, result)

    def submit(
        self,
        submissions: Sequence[Submission[RowsAsked]],
        deliver: Callable[[Sequence[Delivery[RowsAsked, Tensors]]], None],
    ) -> None:
        """Run what was asked, and return at once. `deliver` gets what `result` takes, in some thread."""
        threads = self.start()
        self._batcher.submit(submissions, deliver, lambda run: threads.submit(_BatchJob(run)))

    def result(self, delivery: Delivery[RowsAsked, Tensors]) -> SignatureResult:
        """What came of a submission. Raises as a call does, and `CallerLeftError`."""
        if isinstance(delivery.error, tf.errors.ResourceExhaustedError):
            raise _oversized(delivery.error) from delivery.error
        if delivery.error is not None:
            raise delivery.error
        assert delivery.result is not None, "there is one where there is no error"
        return self._result(delivery.submission.image, delivery.result)

    def start(self) -> ThreadPool:
        """Start the threads that `submit` needs, if they are not there yet."""
        if self._threads is None:
            # Twice as many as may run: the others encode answers meanwhile.
            self._threads = ThreadPool(2 * self._session.concurrent_runs, name="run")
        return self._threads

    def close(self) -> None:
        """End the threads that it has started. Nothing may be submitted meanwhile."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.close(_JOIN_S)

    def _result(self, asked: RowsAsked, result: BatchResult[Tensors]) -> SignatureResult:
        outputs = result.row
        if self.postprocess is not None and asked.signature.name == self._session.default:
            outputs = self.postprocess(dict(outputs))
        return SignatureResult(outputs, result.batch, result.queue_s, result.infer_s)

    def _bucket(self, signature: Signature, inputs: Tensors) -> Hashable:
        # An optional input may be for the whole run, such as a rate: it stays with its own rows.
        if signature.name not in self.batched or len(inputs) > self._required[signature.name]:
            return None
        return signature.name, *(
            inputs[info.name].shape[1:] for info in signature.inputs if info.name in inputs
        )

    def _choose(self, waiting: Sequence[RowsAsked]) -> Sequence[int]:
        return choose_rows([(asked.bucket, asked.rows) for asked in waiting], self.max_rows)

    def _run(self, batch: Sequence[RowsAsked]) -> list[Tensors]:
        first = batch[0]
        if len(batch) == 1:
            return [self._session.run_checked(first.signature, first.inputs)]
        inputs = {name: np.concatenate([asked.inputs[name] for asked in batch]) for name in first.inputs}
        return split_rows(self._session.run_checked(first.signature, inputs), [asked.rows for asked in batch])


def _all_fit(signature: Signature, inputs: Tensors) -> bool:
    return all(fits(info.shape, inputs[info.name].shape) for info in signature.inputs if info.name in inputs)


def _oversized(error: tf.errors.ResourceExhaustedError) -> OversizedRunError:
    return OversizedRunError(
        f"the model needs more memory for this input than the worker has: {first_line(error)}"
    )
