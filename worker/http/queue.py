"""How many requests wait for one of the worker's threads, and whether one more may.

The rules:

- Whoever finds a thread free does not wait, however large its body is.
- Where nobody waits, one may, however large its body is: the limit of a body is not the queue's business.
- Beyond that at most so many wait, and their bodies have at most so many bytes together.
- A place is given up when a thread takes the request, not before: also one whose client has gone keeps it
  until then, or the server's own list of them would have no bound.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from tfleet.discovery.contract import MAX_BODY_BYTES
from tfleet.worker.rejection import Rejection

DEFAULT_MAX_QUEUE: Final = 64
"""The default model needs half a second to a second for so many on two cores; who would wait for longer does
better to ask another worker."""
DEFAULT_MAX_QUEUE_BYTES: Final = 2 * MAX_BODY_BYTES


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many requests may wait for a thread, and how many bytes their bodies may have together."""

    max_requests: int = DEFAULT_MAX_QUEUE
    max_bytes: int = DEFAULT_MAX_QUEUE_BYTES

    def rejection(self, ahead: int, ahead_bytes: int, body_bytes: int) -> Rejection | None:
        """Why one more with such a body is sent away, if it is.

        `ahead` is how many wait for whom no thread is free: 0 if nobody waits, less if threads are free.
        """
        if ahead < 0:
            return None
        if ahead >= self.max_requests:
            return Rejection.QUEUE_REQUESTS
        if ahead > 0 and ahead_bytes + body_bytes > self.max_bytes:
            return Rejection.QUEUE_BYTES
        return None


class Queue:
    """Counts who waits and who is served by so many threads. Safe to use from any thread."""

    def __init__(self, threads: int, limits: QueueLimits) -> None:
        self._threads = threads
        self._limits = limits
        self._lock = threading.Lock()
        self._waiting = self._waiting_bytes = 0
        self._served: set[object] = set()

    def __repr__(self) -> str:
        return f"<Queue waiting={self._waiting} bytes={self._waiting_bytes} served={len(self._served)}>"

    @property
    def waiting(self) -> int:
        """How many requests wait for a thread."""
        return self._waiting

    @property
    def waiting_bytes(self) -> int:
        """How many bytes their bodies have."""
        return self._waiting_bytes

    def enter(self, body_bytes: int) -> Rejection | None:
        """Let one more wait, or say why not."""
        with self._lock:
            ahead = self._waiting + len(self._served) - self._threads
            rejection = self._limits.rejection(ahead, self._waiting_bytes, body_bytes)
            if rejection is None:
                self._waiting += 1
                self._waiting_bytes += body_bytes
        return rejection

    def leave(self, body_bytes: int) -> None:
        """One that waited won't be served."""
        with self._lock:
            self._waiting -= 1
            self._waiting_bytes -= body_bytes

    def begin(self, request: object, body_bytes: int) -> None:
        """A thread has taken one that waited."""
        with self._lock:
            self._waiting -= 1
            self._waiting_bytes -= body_bytes
            self._served.add(request)

    def end(self, request: object) -> None:
        """Its thread is free again. To say so twice, or of one that was never begun, does nothing."""
        with self._lock:
            self._served.discard(request)
