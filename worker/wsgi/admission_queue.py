"""The queue of requests that wait for one of the worker's threads, and its limits.

The rules:

- A request that finds a thread free does not wait. The number of those that wait is limited.
- The bytes of all bodies that wait or arrive are limited together, whether threads are free or not: many
  clients can send at the same time, and none of them has to finish. A body that is the only one is accepted
  whatever its size: --max-body-bytes limits single bodies.
- A part of these bytes is kept for small bodies, so that a few bodies of 30 MB do not cause the rejection of
  photographs.
- A body is accepted if all of it would have room. Then it counts with the bytes that have arrived, so a
  client that announces a large body and sends nothing takes no room. Bodies that have stopped give their room
  to those that come: see incoming_body.py.
- A place is given up when a thread takes the request, not before: also one whose client has gone keeps it
  until then, or the list of them would have no bound. Bytes are given up with the client.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tfleet.contract.names import MAX_BODY_BYTES
from tfleet.worker.rejection import Rejection

DEFAULT_MAX_QUEUE: Final = 64
"""The default model needs half a second to a second for so many on two cores; a client that would wait for
longer does better to ask another worker."""
DEFAULT_MAX_QUEUE_BYTES: Final = 2 * MAX_BODY_BYTES

_SMALL_SHARE: Final = 64
_KEPT_FOR_SMALL: Final = 0.25


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many requests may wait for a thread, and how many bytes their bodies may have together.

    `kept_for_small` is the part of the bytes that only small bodies may have.
    """

    max_requests: int = DEFAULT_MAX_QUEUE
    max_bytes: int = DEFAULT_MAX_QUEUE_BYTES
    kept_for_small: float = _KEPT_FOR_SMALL

    def is_small(self, body_bytes: int) -> bool:
        """Whether a body is small: by default, whether it has 1 MiB at the most."""
        return body_bytes <= self.max_bytes // _SMALL_SHARE

    def rejects_request(self, ahead: int) -> Rejection | None:
        """Why another request is rejected, or None.

        `ahead` is the number of waiting requests less the number of free threads: below 0, a thread is free.
        """
        return Rejection.QUEUE_REQUESTS if ahead >= max(self.max_requests, 0) else None

    def rejects_body(self, others_bytes: int, body_bytes: int, *, small: bool) -> Rejection | None:
        """Why a body of this size is rejected, or None. `others_bytes` are those of all other bodies that
        wait or arrive.
        """
        room_bytes = self.max_bytes if small else self.max_bytes * (1 - self.kept_for_small)
        return Rejection.QUEUE_BYTES if 0 < others_bytes > room_bytes - body_bytes else None


class BusyTime:
    """Adds up the spans between `begin` and `end`. Its caller sees to it that they take turns."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ended_s = 0.0
        self._since_s: float | None = None

    def __repr__(self) -> str:
        return f"<BusyTime {self.seconds:.3f} s, {'idle' if self._since_s is None else 'busy'}>"

    @property
    def seconds(self) -> float:
        """The sum of all spans, including the current one."""
        return self._ended_s if self._since_s is None else self._ended_s + self._clock() - self._since_s

    def begin(self) -> None:
        """Begin a span; no effect within one."""
        if self._since_s is None:
            self._since_s = self._clock()

    def end(self) -> None:
        """End the span; no effect outside one."""
        self._ended_s, self._since_s = self.seconds, None


class AdmissionQueue:
    """Counts the requests that come in, that wait, and that are served. Safe to use from any thread.

    Any hashable object may stand for a request. Ending one that is not counted (any more) has no effect.
    """

    def __init__(self, threads: int, limits: QueueLimits) -> None:
        self.limits = limits
        self._threads = threads
        self._lock = threading.Lock()
        self._arriving: dict[object, int] = {}
        """Each request whose body is arriving, with the bytes that have come."""
        self._waiting: dict[object, int] = {}
        """Each request that waits for a thread, with the bytes of its body."""
        self._bytes = 0
        self._served: set[object] = set()
        self._busy = BusyTime()
        self._thread_freed: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return f"<AdmissionQueue waiting={self.waiting} bytes={self._bytes} served={len(self._served)}>"

    @property
    def waiting(self) -> int:
        """The number of requests that wait for a thread."""
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """The bytes of all bodies that wait or are being received."""
        return self._bytes

    @property
    def busy_s(self) -> float:
        """The seconds in which at least one request was being served."""
        with self._lock:
            return self._busy.seconds

    def use_threads(self, threads: int) -> None:
        """Set the number of threads."""
        with self._lock:
            self._threads = threads
        self._thread_freed()

    def tell_of_free_threads(self, thread_freed: Callable[[], None]) -> None:
        """Call this, in any thread, whenever a thread may be free. It has to be quick: requests wait for
        it.
        """
        self._thread_freed = thread_freed

    def reserve(self, request: object, body_bytes: int, *, small: bool = False) -> Rejection | None:
        """Reserve room for a body of this size, or for its new size. Returns why it is rejected, or None.

        `small` is whether it will be small when all of it is there.
        """
        with self._lock:
            had_bytes = self._arriving.get(request)
            others_bytes = self._bytes - (had_bytes or 0)
            rejection = self.limits.rejects_body(others_bytes, body_bytes, small=small)
            if rejection is not None:
                self._give_back(request)
                return rejection
            self._arriving[request] = body_bytes
            self._bytes = others_bytes + body_bytes
            return None

    def full(self) -> Rejection | None:
        """Why any request would be rejected now, or None."""
        with self._lock:
            return self.limits.rejects_request(self._ahead)

    def enter(self, request: object) -> Rejection | None:
        """Add a request whose body is complete. Returns why it is rejected, or None."""
        with self._lock:
            # Its bytes were reserved as they came. Its place is taken only now: a client that sends slowly,
            # or stops, must not hold one.
            rejection = self.limits.rejects_request(self._ahead)
            if rejection is not None:
                self._give_back(request)
                return rejection
            self._waiting[request] = self._arriving.pop(request, 0)
            return None

    def forget_body(self, request: object) -> None:
        """Forget the bytes of a request whose client has gone; if it waits, it keeps its place."""
        with self._lock:
            if request in self._waiting:
                self._bytes -= self._waiting[request]
                self._waiting[request] = 0
            else:
                self._give_back(request)

    def begin(self, request: object) -> None:
        """A thread has taken the request: it no longer waits."""
        with self._lock:
            if request in self._waiting:
                self._give_back(request)
                self._served.add(request)
                self._busy.begin()

    def begin_at_once(self, request: object) -> None:
        """Count a request as served that has never waited here: a job of the queue in Redis."""
        with self._lock:
            self._served.add(request)
            self._busy.begin()

    @property
    def free_threads(self) -> int:
        """How many threads nobody uses or waits for."""
        with self._lock:
            return max(0, -self._ahead)

    def end(self, request: object) -> None:
        """The request was served, or never will be."""
        with self._lock:
            self._give_back(request)
            self._served.discard(request)
            if not self._served:
                self._busy.end()
        self._thread_freed()

    @property
    def _ahead(self) -> int:
        # Each request that is served holds a thread. Below 0, threads are free.
        return len(self._waiting) + len(self._served) - self._threads

    def _give_back(self, request: object) -> None:
        self._bytes -= self._arriving.pop(request, 0) + self._waiting.pop(request, 0)
