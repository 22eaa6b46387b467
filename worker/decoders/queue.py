"""Whose turn it is: the jobs that run, and those that wait in line.

The rules:

- Jobs run in the order in which they came, at most as many as there are processes. Nobody overtakes, so that
  a large one gets its turn, however many small ones come.
- All that run together fit into the memory. One that is too large for it runs alone.
- At most so many wait, and none for whom those ahead would take too long by their estimates; one more is not
  let in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tfleet.worker.decoders.limits import PoolLimits


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job's place in the line; the numbers tell them apart."""

    number: int
    memory_bytes: int
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class JobQueue:
    """As it is at one time; each step makes a new one."""

    limits: PoolLimits
    running: tuple[QueuedJob, ...] = ()
    waiting: tuple[QueuedJob, ...] = ()

    def enter(self, place: QueuedJob) -> JobQueue | None:
        """With one more at the end, who may run at once. None where it may not wait."""
        line = replace(self, waiting=(*self.waiting, place))._advance()
        if place not in line.waiting:
            return line
        ahead_s = sum(other.cpu_s for other in (*self.running, *self.waiting)) / self.limits.processes
        full = len(line.waiting) > self.limits.max_waiting or ahead_s > self.limits.max_ahead_s
        return None if full else line

    def leave(self, place: QueuedJob) -> JobQueue:
        """Without this one, whether it ran or waited. Whose turn it is now runs."""
        return replace(
            self,
            running=tuple(other for other in self.running if other != place),
            waiting=tuple(other for other in self.waiting if other != place),
        )._advance()

    def _advance(self) -> JobQueue:
        running, waiting = self.running, self.waiting
        while waiting and self._fits(waiting[0], running):
            running, waiting = (*running, waiting[0]), waiting[1:]
        return replace(self, running=running, waiting=waiting)

    def _fits(self, place: QueuedJob, running: tuple[QueuedJob, ...]) -> bool:
        if not running:
            return True
        taken_bytes = sum(other.memory_bytes for other in running)
        return (
            len(running) < self.limits.processes
            and taken_bytes + place.memory_bytes <= self.limits.memory_bytes
        )
