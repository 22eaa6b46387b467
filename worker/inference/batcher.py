"""Dynamic batching: images, or rows, that arrive during a run form the next batch.

What is said of images holds for whatever a model takes.

The rules:

- At most `concurrent_runs()` runs go on at a time; each takes one run slot. While a slot is free no image
  waits: a single image runs at once, in the thread that brought it, without a timer or another thread. So
  batching costs nothing where it gains nothing. No image ever waits for more images.
- Images that arrive while all slots are taken wait. The thread that ends a run takes the oldest of them and
  those that `choose` puts with it, and gives them and its slot to the thread of the oldest image, before it
  does anything else. So no slot is idle while there is work.
- Images that are submitted have no thread. Their batches run in threads that `start` provides, and what comes
  of a batch is delivered at once for all of them.
- Each caller gets its own row or its own error. A batch that fails runs again image by image, so that a bad
  image fails alone.
- An image whose deadline has passed when its turn comes is left out, and so is a submitted one for which
  nobody waits any more.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic

from tfleet.worker.inference.batch_callers import (
    BatchResult,
    Caller,
    Deliver,
    Image,
    OverdueError,
    Row,
    Start,
    Submission,
    Submitter,
    WaitingThread,
    begin_turns,
    tell,
)

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
        self._queue: deque[Caller[Image, Row]] = deque()

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
        caller = WaitingThread[Image, Row](image, self._clock(), deadline_s)
        if deadline_s is not None and deadline_s <= caller.arrived_s:
            raise OverdueError
        with self._lock:
            # A free slot implies an empty queue: `_fill_slots` leaves one free only where nothing waits.
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

    def submit(
        self, submissions: Sequence[Submission[Image]], deliver: Deliver[Image, Row], start: Start
    ) -> None:
        """Run images, alone or with others, and return at once. Those that come together may run together.

        `deliver` gets what came of them: all that ran together in one call. `start` is called for each batch
        whose oldest image has no thread of its own.
        """

        def run(batch: list[Caller[Image, Row]]) -> None:
            start(lambda: self._run_and_hand_over(batch))

        now_s = self._clock()
        callers = [Submitter[Image, Row](each, now_s, deliver, run) for each in submissions]
        with self._lock:
            self._queue.extend(callers)
            lapsed, first = self._fill_slots()
        begin_turns(lapsed, first)

    def _run_and_hand_over(self, batch: list[Caller[Image, Row]]) -> None:
        """Run a batch that has a slot, then give the slot to the next batch."""
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
            # The next run starts before the callers of this batch go on: they only encode answers.
            with self._lock:
                self._running -= 1
                lapsed, first = self._fill_slots()
            begin_turns(lapsed, first)
            tell(batch)

    def _fill_slots(self) -> tuple[list[Caller[Image, Row]], list[Caller[Image, Row]]]:
        """Give the free slots to what waits. Returns those that have lapsed, and the first of each batch.

        It is one step under the lock: an image that came later can't overtake.
        """
        lapsed: list[Caller[Image, Row]] = []
        first: list[Caller[Image, Row]] = []
        while self._queue and self._running < self._concurrent_runs():
            batch = self._take(lapsed)
            if batch:
                self._running += 1
                batch[0].batch = batch
                first.append(batch[0])
        return lapsed, first

    def _take(self, lapsed: list[Caller[Image, Row]]) -> list[Caller[Image, Row]]:
        """Take the oldest callers for a batch from the queue. Adds those that have lapsed to the list."""
        now_s = self._clock()
        for caller in list(self._queue):
            caller.error = caller.lapsed(now_s)
            if caller.error is not None:
                lapsed.append(caller)
                self._queue.remove(caller)
        if not self._queue:
            return []
        waiting = list(self._queue)
        chosen = self._choose([caller.image for caller in waiting])
        batch = [waiting[position] for position in chosen]
        if chosen[-1] == len(chosen) - 1:  # the oldest ones, as it mostly is
            for _ in batch:
                self._queue.popleft()
        else:
            taken = frozenset(chosen)
            self._queue = deque(c for position, c in enumerate(waiting) if position not in taken)
        return batch

    def _serve(self, batch: Sequence[Caller[Image, Row]]) -> None:
        try:
            self._run_together(batch)
        except Exception as error:  # of any kind: one image of the batch may be the cause
            if len(batch) == 1:
                batch[0].error = error
                return
            for caller in batch:
                self._serve([caller])

    def _run_together(self, batch: Sequence[Caller[Image, Row]]) -> None:
        began_s = self._clock()
        rows = self._run([caller.image for caller in batch])
        infer_s = self._clock() - began_s
        for caller, row in zip(batch, rows, strict=True):
            caller.result = BatchResult(row, len(batch), began_s - caller.arrived_s, infer_s)
