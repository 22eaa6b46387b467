"""The callers of a batcher: those that wait in a thread of their own, and those that have none.

What is said of images holds for whatever a model takes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Image = TypeVar("Image")
Row = TypeVar("Row")


class OverdueError(Exception):
    """The image's deadline passed before its turn came; nothing was computed for it."""


class CallerLeftError(Exception):
    """Nobody waits for the image any more; nothing was computed for it."""


@dataclass(frozen=True, slots=True)
class BatchResult(Generic[Row]):
    """One caller's result: its row, and the size of the batch that it ran in.

    `queue_s` is the time from the call to the start of the run, `infer_s` that of the run, in seconds.
    """

    row: Row
    batch: int
    queue_s: float
    infer_s: float


@dataclass(frozen=True, slots=True)
class Submission(Generic[Image]):
    """An image whose caller does not wait in a thread. The batcher does not look at `owner`."""

    image: Image
    owner: Any
    deadline_s: float
    gone: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Delivery(Generic[Image, Row]):
    """What came of a submission: a result, or else an error."""

    submission: Submission[Image]
    result: BatchResult[Row] | None
    error: BaseException | None


Deliver = Callable[[Sequence[Delivery[Image, Row]]], None]
"""Takes what came of some submissions, in any thread. It must not raise."""

Start = Callable[[Callable[[], None]], None]
"""Lets some thread call a function."""


class Caller(Generic[Image, Row]):
    """One image, and what is known of its result."""

    __slots__ = ("arrived_s", "batch", "deadline_s", "error", "image", "result")

    def __init__(self, image: Image, arrived_s: float, deadline_s: float | None) -> None:
        self.image = image
        self.arrived_s = arrived_s
        self.deadline_s = deadline_s
        self.batch: list[Caller[Image, Row]] = []
        self.result: BatchResult[Row] | None = None
        self.error: BaseException | None = None

    @property
    def answered(self) -> bool:
        return self.result is not None or self.error is not None

    def lapsed(self, now_s: float) -> Exception | None:
        """Why it needs no turn any more, or None."""
        overdue = self.deadline_s is not None and self.deadline_s <= now_s
        return OverdueError() if overdue else None

    def begin(self) -> None:
        """Have `batch` run: it has a slot."""
        raise NotImplementedError


class WaitingThread(Caller[Image, Row]):
    """A caller whose thread sleeps until it gets a result, an error or a batch to run."""

    __slots__ = ("wake",)

    def __init__(self, image: Image, arrived_s: float, deadline_s: float | None) -> None:
        super().__init__(image, arrived_s, deadline_s)
        # A plain lock is the cheapest thing to sleep on: an Event or a Condition takes two of them.
        self.wake = threading.Lock()
        self.wake.acquire()

    def begin(self) -> None:
        self.wake.release()


class Submitter(Caller[Image, Row]):
    """A caller without a thread."""

    __slots__ = ("deliver", "run", "submission")

    def __init__(
        self,
        submission: Submission[Image],
        arrived_s: float,
        deliver: Deliver[Image, Row],
        run: Callable[[list[Caller[Image, Row]]], None],
    ) -> None:
        super().__init__(submission.image, arrived_s, submission.deadline_s)
        self.submission = submission
        self.deliver = deliver
        self.run = run

    def lapsed(self, now_s: float) -> Exception | None:
        return CallerLeftError() if self.submission.gone() else super().lapsed(now_s)

    def begin(self) -> None:
        batch, self.batch = self.batch, []  # which contains the caller: no reference cycle
        self.run(batch)

    @property
    def delivery(self) -> Delivery[Image, Row]:
        return Delivery(self.submission, self.result, self.error)


def begin_turns(lapsed: Sequence[Caller[Image, Row]], first: Iterable[Caller[Image, Row]]) -> None:
    for caller in first:
        caller.begin()
    tell(lapsed)


def tell(callers: Sequence[Caller[Image, Row]]) -> None:
    """Let callers go on that have a result or an error; those without a thread together."""
    together: dict[Deliver[Image, Row], list[Delivery[Image, Row]]] = {}
    for caller in callers:
        if isinstance(caller, Submitter):
            together.setdefault(caller.deliver, []).append(caller.delivery)
        elif isinstance(caller, WaitingThread):
            caller.wake.release()
    for deliver, deliveries in together.items():
        deliver(deliveries)
