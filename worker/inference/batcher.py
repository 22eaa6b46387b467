"""Dynamic batching: images, or rows, that arrive during a run form the next batch.

What is said of images holds for whatever a model takes.

The rules:

- At most `concurrent_runs()` runs go on at a time; each takes one run slot. While a slot is free no image
  waits: a single image runs at once, in the thread that brought it, without a timer or another thread. So
  batching costs nothing where it gains nothing. No image ever waits for more images.
- Images that arrive while all slots are taken wait. The thread that ends a run takes the oldest of them and
  those that `choose` puts with it, and gives them and its slot to the thread of the oldest image, before it
  does anything else. So no slot is idle while there is work.
- Each caller gets its own row or its own error. A batch that fails runs again image by image, so that a bad
  image fails alone.
- An image whose deadline has passed when its turn comes is left out.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Image = TypeVar("Image")
Row = TypeVar("Row")


class OverdueError(Exception):
    """The image's deadline passed before its turn came; nothing was computed for it."""


@dataclass(frozen=True, slots=True)
class BatchResult(Generic[Row]):
    """One caller's result: its row, and the size of the batch that it ran in.

    `queue_s` is the time from the call to the start of the run, `infer_s` that of the run, in seconds.
    """

    row: Row
    batch: int
    queue_s: float
    infer_s: float


class _Caller(Generic[Image, Row]):
    """One image, and the thread that brought it, which sleeps until it gets a result, an error or a batch
    to run.
    """

    __slots__ = ("arrived_s", "batch", "deadline_s", "error", "image", "result", "wake")

    def __init__(self, image: Image, arrived_s: float, deadline_s: float | None) -> None:
        self.image = image
        self.arrived_s = arrived_s
        self.deadline_s = deadline_s
        self.batch: list[_Caller[Image, Row]] = []
        self.result: BatchResult[Row] | None = None
        self.error: BaseException | None = None
        # A plain lock is the cheapest thing to sleep on: an Event or a Condition takes two of them.
        self.wake = threading.Lock()
        self.wake.acquire()

    @property
    def answered(self) -> bool:
        return self.result is not None or self.error is not None


Choose = Callable[[Sequence[Image]], Sequence[int]]
"""Which of the waiting images, the oldest first, form the next batch: their positions, ascending, 0 among
them."""


def first_of(sizes: Callable[[], Iterable[int]]) -> Callable[[Sequence[Any]], Sequence[int]]:
    """Choose as many of the oldest as make one of the `sizes()`, which have to include 1."""

    def choose(waiting: Sequence[Any]) -> Sequence[int]:
        # Only these sizes were warmed up: TensorFlow would have to plan any other one first.
        return range(max(size for size in sizes() if size <= len(waiting)))

    return choose


class Batcher(Generic[Image, Row]):
    """Calls `run` in at most `concurrent_runs()` threads at a time, each time with the images that `choose`
    picks from those that wait.

    The number of runs may not change once an image has been passed in. `run` returns a row for each image, in
    their order.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Image]], Sequence[Row]],
        choose: Choose[Image],
        concurrent_runs: Callable[[], int],
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._run = run
        self._choose = choose
        self._concurrent_runs = concurrent_runs
        self._clock = clock
        self._lock = threading.Lock()
        self._running = 0
        self._queue: deque[_Caller[Image, Row]] = deque()

    def __repr__(self) -> str:
        return f"<Batcher running={self._running} waiting={len(self._queue)}>"

    @property
    def waiting(self) -> int:
        """How many images wait for a run."""
        return len(self._queue)

    def __call__(self, image: Image, deadline_s: float | None = None) -> BatchResult[Row]:
        """Run an image, alone or with others. `deadline_s` is in seconds by the clock.

        Raises OverdueError and what `run` raises.
        """
        caller = _Caller[Image, Row](image, self._clock(), deadline_s)
        if deadline_s is not None and deadline_s <= caller.arrived_s:
            raise OverdueError
        with self._lock:
            # A free slot implies an empty queue: `_hand_over` frees one only where nothing waits.
            at_once = self._running < self._concurrent_runs()
            if at_once:
                self._running += 1
                caller.batch = [caller]
            else:
                self._queue.append(caller)
        if not at_once:
            # Until another thread has a batch to run for this one, its result, or its error.
            caller.wake.acquire()
        # The batch contains the caller: this reference cycle would keep the image until the next collection.
        batch, caller.batch = caller.batch, []
        if batch:
            self._run_and_hand_over(batch)
        if caller.error is not None:
            raise caller.error
        assert caller.result is not None
        return caller.result

    def _run_and_hand_over(self, batch: list[_Caller[Image, Row]]) -> None:
        """Run a batch whose first image is this thread's own, then give the slot to the next batch."""
        try:
            self._serve(batch)
        except BaseException as error:
            # This thread is being ended. The threads of the other images would sleep for ever without an
            # answer.
            for caller in batch:
                if not caller.answered:
                    caller.error = error
            raise
        finally:
            # The next run starts before the threads of this batch wake: they only encode answers.
            self._hand_over()
            for caller in batch[1:]:
                caller.wake.release()

    def _hand_over(self) -> None:
        """Give the slot to the thread of the next batch, or free it."""
        with self._lock:
            overdue, batch = self._take()
            if batch:
                # `_running` stays: the slot passes on. Freed and taken again, a new image could overtake.
                batch[0].batch = batch
            else:
                self._running -= 1
        for caller in (*batch[:1], *overdue):
            caller.wake.release()

    def _take(self) -> tuple[list[_Caller[Image, Row]], list[_Caller[Image, Row]]]:
        """Take from the queue the overdue callers, and the oldest of the others for a batch."""
        now_s = self._clock()
        overdue = [c for c in self._queue if c.deadline_s is not None and c.deadline_s <= now_s]
        for caller in overdue:
            caller.error = OverdueError()
            self._queue.remove(caller)
        if not self._queue:
            return overdue, []
        waiting = list(self._queue)
        chosen = self._choose([caller.image for caller in waiting])
        batch = [waiting[position] for position in chosen]
        if chosen[-1] == len(chosen) - 1:  # the oldest ones, as it mostly is
            for _ in batch:
                self._queue.popleft()
        else:
            taken = frozenset(chosen)
            self._queue = deque(c for position, c in enumerate(waiting) if position not in taken)
        return overdue, batch

    def _serve(self, batch: Sequence[_Caller[Image, Row]]) -> None:
        try:
            self._run_together(batch)
        except Exception as error:  # of any kind: one image of the batch may be the cause
            if len(batch) == 1:
                batch[0].error = error
                return
            for caller in batch:
                self._serve([caller])

    def _run_together(self, batch: Sequence[_Caller[Image, Row]]) -> None:
        began_s = self._clock()
        rows = self._run([caller.image for caller in batch])
        infer_s = self._clock() - began_s
        for caller, row in zip(batch, rows, strict=True):
            caller.result = BatchResult(row, len(batch), began_s - caller.arrived_s, infer_s)
