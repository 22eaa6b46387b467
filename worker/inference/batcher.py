"""Joins what came while the session was busy into its next run. Nothing ever waits for more to come.

The rules:

- As many runs may go on at a time as `lanes()` says. While a lane is free nobody waits: a lone image runs at
  once, in the thread that brought it. No timer and no other thread stands in between, so batching costs
  nothing where it gains nothing.
- Whatever comes while all lanes are taken waits. Who ends a run takes the oldest images, as many as make one
  of the `sizes()`, and gives them and the lane to the thread of the oldest of them, before anything else is
  done, so that no lane is idle while there is work.
- Each caller gets its own row or its own error. A batch that fails runs again one by one, so a bad image
  fails alone.
- An image whose caller's time is over when its turn comes is left out.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Image = TypeVar("Image")
Row = TypeVar("Row")


class OverdueError(Exception):
    """The caller's time was over before its image's turn came; nothing was computed for it."""


@dataclass(frozen=True, slots=True)
class Share(Generic[Row]):
    """One caller's part of a batch: its row, and how many images ran together, its own included.

    Seconds: `queue_s` from the call to the beginning of the run, `infer_s` the run.
    """

    row: Row
    batch: int
    queue_s: float
    infer_s: float


class _Caller(Generic[Image, Row]):
    """One image, and the thread that brought it, which sleeps until it has a share, an error or a batch."""

    __slots__ = ("batch", "came_s", "deadline_s", "error", "image", "share", "wake")

    def __init__(self, image: Image, came_s: float, deadline_s: float | None) -> None:
        self.image = image
        self.came_s = came_s
        self.deadline_s = deadline_s
        self.batch: list[_Caller[Image, Row]] = []
        self.share: Share[Row] | None = None
        self.error: BaseException | None = None
        self.wake = threading.Lock()
        self.wake.acquire()

    @property
    def served(self) -> bool:
        return self.share is not None or self.error is not None


class Batcher(Generic[Image, Row]):
    """Calls `run`, in at most `lanes()` threads at a time, with as many images as one of `sizes()` says.

    1 has to be among the sizes, and neither may change once there is something to run. `run` gives a row for
    each image, in their order.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Image]], Sequence[Row]],
        sizes: Callable[[], Iterable[int]],
        lanes: Callable[[], int],
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._run = run
        self._sizes = sizes
        self._lanes = lanes
        self._clock = clock
        self._lock = threading.Lock()
        self._running = 0
        self._queue: deque[_Caller[Image, Row]] = deque()

    def __repr__(self) -> str:
        return f"<Batcher running={self._running} waiting={len(self._queue)}>"

    @property
    def waiting(self) -> int:
        """How many images wait for their turn."""
        return len(self._queue)

    def __call__(self, image: Image, deadline_s: float | None = None) -> Share[Row]:
        """The image's share. `deadline_s` is on the clock. Raises OverdueError and what `run` raises."""
        caller = _Caller[Image, Row](image, self._clock(), deadline_s)
        if deadline_s is not None and deadline_s <= caller.came_s:
            raise OverdueError
        with self._lock:
            at_once = self._running < self._lanes()
            if at_once:
                self._running += 1
                caller.batch = [caller]
            else:
                self._queue.append(caller)
        if not at_once:
            caller.wake.acquire()
        batch, caller.batch = caller.batch, []  # which holds the caller: a circle would keep the image
        if batch:
            self._lead(batch)
        if caller.error is not None:
            raise caller.error
        assert caller.share is not None
        return caller.share

    def _lead(self, batch: list[_Caller[Image, Row]]) -> None:
        """Run the batch, the first image of which is this thread's own."""
        try:
            self._serve(batch)
        except BaseException as error:  # this thread is being ended; the others still need an answer
            for caller in batch:
                if not caller.served:
                    caller.error = error
            raise
        finally:
            self._hand_over()
            for caller in batch[1:]:
                caller.wake.release()

    def _hand_over(self) -> None:
        """Give the lane to the next batch, or back."""
        with self._lock:
            overdue, batch = self._take()
            if batch:
                batch[0].batch = batch
            else:
                self._running -= 1
        for caller in (*batch[:1], *overdue):
            caller.wake.release()

    def _take(self) -> tuple[list[_Caller[Image, Row]], list[_Caller[Image, Row]]]:
        """Take from the queue who is overdue, and the oldest of the others: a whole batch."""
        now_s = self._clock()
        overdue = [c for c in self._queue if c.deadline_s is not None and c.deadline_s <= now_s]
        for caller in overdue:
            caller.error = OverdueError()
            self._queue.remove(caller)
        size = max((size for size in self._sizes() if size <= len(self._queue)), default=0)
        return overdue, [self._queue.popleft() for _ in range(size)]

    def _serve(self, batch: Sequence[_Caller[Image, Row]]) -> None:
        try:
            self._run_together(batch)
        except Exception as error:  # whatever it was: it may be one image's fault
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
            caller.share = Share(row, len(batch), began_s - caller.came_s, infer_s)
