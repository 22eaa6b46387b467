"""The worker processes of one release, and what they show of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from tfleet.deploy.local.repository.decision import RunningRelease
from tfleet.deploy.local.repository.values import Release
from tfleet.runtime.printable import printable
from tfleet.runtime.supervised_process import SupervisedProcess

_MAX_CRASHES: Final = 3
"""So many ends of a worker that was never ready are a fault of its release, and no accident."""


class WorkerGroup:
    """The workers of a release, started together. `since_s` is when, on the monotonic clock."""

    def __init__(self, release: Release, processes: Sequence[SupervisedProcess], since_s: float) -> None:
        self.release = release
        self.processes = tuple(processes)
        self.since_s = since_s
        self.ready = 0
        self.served = False
        """Whether one of them was ready at some time."""
        self.announced = False
        """Whether it was said that all of them are ready."""
        self.held = False
        """Whether it was said that its drain waits for the plans."""
        self.lost = 0
        """How many workers were reported that can't be started again."""
        self.draining = False

    def __repr__(self) -> str:
        return f"<WorkerGroup {self.release} {self.ready} of {len(self.processes)} ready>"

    @property
    def running(self) -> RunningRelease:
        """The group as decisions see it."""
        return RunningRelease(self.release, len(self.processes), self.ready)

    @property
    def complete(self) -> bool:
        """Whether all workers are ready."""
        return self.running.complete

    @property
    def loading(self) -> bool:
        """Whether its first ready worker is expected: none was ready, and none ended again and again."""
        return not (self.served or self.fault() or self.crash())

    @property
    def ended(self) -> bool:
        """Whether no worker is left."""
        return all(process.state == "ended" for process in self.processes)

    def count_ready(self, numbers: Sequence[int]) -> None:
        """Take how many workers the proxy has as ready at each process's ports."""
        self.ready = sum(number > 0 for number in numbers)
        self.served = self.served or self.ready > 0

    def fault(self) -> str:
        """Why the release can't be used, in one line; empty while it may be.

        One worker of a release that has served may fail where its files were changed since: the others serve
        on. If the last one fails, the release has.
        """
        failed = [process for process in self.processes if process.failed]
        if failed and (not self.served or self.ended):
            return printable(failed[0].final_reason) or "its worker ended with exit code 2, see above"
        return ""

    def crash(self) -> str:
        """Why the release seems to crash at its start, in one line; empty while it does not."""
        starts: Collection[int] = [process.starts for process in self.processes]
        if self.served or max(starts, default=0) <= _MAX_CRASHES:
            return ""
        return f"a worker ended {_MAX_CRASHES} times before it was ready, see above"
