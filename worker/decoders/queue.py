"""The queue of decode jobs: those that run and those that wait.

The rules:

- Jobs run in the order of their arrival, at most as many as there are processes. No job overtakes another, so
  that a large one runs however many small ones arrive.
- All running jobs together fit into the memory. A job that is too large for it runs alone.
- A job is rejected where too many wait, or where the jobs ahead would take too long by their estimates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tfleet.worker.decoders.limits import PoolLimits


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job in the queue. Each has another `number`; `memory_bytes` and `cpu_s` are its estimates."""

    number: int
    memory_bytes: int
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class JobQueue:
    """An immutable queue."""

    limits: PoolLimits
    running: tuple[QueuedJob, ...] = ()
    waiting: tuple[QueuedJob, ...] = ()

    def enter(self, job: QueuedJob) -> JobQueue | None:
        """Return the queue with this job added; None if it is full."""
        queue = replace(self, waiting=(*self.waiting, job))._advance()
        # The limits are for jobs that wait: a free decoder takes any job.
        if job not in queue.waiting:
            return queue
        ahead_s = sum(other.cpu_s for other in (*self.running, *self.waiting)) / self.limits.processes
        full = len(queue.waiting) > self.limits.max_waiting or ahead_s > self.limits.max_ahead_s
        return None if full else queue

    def leave(self, job: QueuedJob) -> JobQueue:
        """Return the queue without this job, which ran or waited, and with the next ones running."""
        return replace(
            self,
            running=tuple(other for other in self.running if other != job),
            waiting=tuple(other for other in self.waiting if other != job),
        )._advance()

    def _advance(self) -> JobQueue:
        running, waiting = self.running, self.waiting
        # It stops at the first that does not fit, although a later one might: nothing may overtake.
        while waiting and self._fits(waiting[0], running):
            running, waiting = (*running, waiting[0]), waiting[1:]
        return replace(self, running=running, waiting=waiting)

    def _fits(self, job: QueuedJob, running: tuple[QueuedJob, ...]) -> bool:
        if not running:  # even one that exceeds the memory, which would otherwise wait for ever
            return True
        taken_bytes = sum(other.memory_bytes for other in running)
        return (
            len(running) < self.limits.processes
            and taken_bytes + job.memory_bytes <= self.limits.memory_bytes
        )
