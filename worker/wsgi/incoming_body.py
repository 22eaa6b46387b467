"""Receives a request's body into memory, counts it in the queue, and refuses it if it is too slow.

A body that stops holds the bytes that have come of it for up to `timeout_s`: some clients that stop could use
up the queue's bytes. So when there is no room for a body that comes, those that have stopped give way, the
longest first. A client whose body gave way gets a 429 when it sends more, or the 408 of all that stop.
"""

from __future__ import annotations

import io
from collections import deque
from dataclasses import dataclass
from typing import Final

from tfleet.contract.problem import Problem
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.timers import SlowSenderWatch
from tfleet.worker.rejection import Rejection
from tfleet.worker.wsgi.admission_queue import AdmissionQueue

Refusal = Problem | Rejection
"""Why a request is refused: the application answers a Rejection, the server answers a Problem."""


_STOPPED_S: Final = 2.0
"""A client that sends nothing for so long, or less than the lowest rate, has to give way."""

_LOOK_S: Final = 0.5
"""How often the bodies are searched for those that have stopped: thousands take a millisecond or two."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Limits of a body: its size, the longest pause between two pieces, and the lowest rate."""

    max_bytes: int
    timeout_s: float = 30.0  # as the proxy waits for its clients
    bytes_per_s: float = 16 * 1024

    def too_large(self) -> Problem:
        """The answer to a body over `max_bytes`."""
        return Problem(
            413, f"the body is over {self.max_bytes} bytes, the worker's limit: see --max-body-bytes"
        )

    def too_slow(self) -> Problem:
        """The answer to a body that stopped, or is sent too slowly."""
        return Problem(
            408,
            f"nothing came of the body for {self.timeout_s:g} s, or fewer than {self.bytes_per_s:g} bytes a "
            "second: send the request again, in one go",
        )


class ArrivingBodies:
    """The bodies of which a part has come. Only the event loop's thread may call its methods."""

    def __init__(self) -> None:
        self._bodies: set[IncomingBody] = set()
        self._stopped: deque[IncomingBody] = deque()
        """Those that had stopped at the last look, the longest first."""
        self._next_look_s = 0.0

    def __repr__(self) -> str:
        return f"<ArrivingBodies {len(self._bodies)}>"

    def add(self, body: IncomingBody) -> None:
        """A part of this body has come."""
        self._bodies.add(body)

    def discard(self, body: IncomingBody) -> None:
        """All of this body has come, or it was dropped."""
        self._bodies.discard(body)

    def next_stopped(self, now_s: float) -> IncomingBody | None:
        """Return a body that has stopped, the longest first; each one once. None if there is no other."""
        if not self._stopped and now_s >= self._next_look_s:
            self._next_look_s = now_s + _LOOK_S
            found = [body for body in self._bodies if body.has_stopped(now_s)]
            self._stopped.extend(sorted(found, key=lambda body: body.due_s))
        while self._stopped:
            body = self._stopped.popleft()
            if body in self._bodies and body.has_stopped(now_s):  # it may have gone on since the last look
                return body
        return None


class IncomingBody:
    """The body of one request, which stands for the request in the queue.

    Only the event loop's thread may call its methods, apart from `take`.
    """

    def __init__(
        self,
        head: RequestHead,
        queue: AdmissionQueue,
        arriving: ArrivingBodies,
        limits: BodyLimits,
        now_s: float,
    ) -> None:
        self._queue = queue
        self._arriving = arriving
        self._limits = limits
        self._length_bytes = None if head.chunked else head.length_bytes
        self._small = not head.chunked and queue.limits.is_small(head.length_bytes)
        self._content: io.BytesIO | None = None
        self._received_bytes = 0
        self._gave_way = False
        self._watch = SlowSenderWatch(limits.timeout_s, limits.bytes_per_s, now_s)

    def __repr__(self) -> str:
        return f"<IncomingBody {self._received_bytes} of {self._length_bytes}>"

    @property
    def due_s(self) -> float:
        """When, on the loop's clock, the body is too slow if no more of it arrives."""
        return self._watch.due_s

    @property
    def received_bytes(self) -> int:
        """How much of it has come."""
        return self._received_bytes

    @property
    def content(self) -> bytes:
        """What has come of it."""
        return b"" if self._content is None else self._content.getvalue()

    def has_stopped(self, now_s: float) -> bool:
        """Whether it has to give way to a body that comes."""
        return now_s >= self.due_s - self._limits.timeout_s + _STOPPED_S

    def admit(self, now_s: float, *, asks_first: bool) -> Refusal | None:
        """Why the request is refused by its head, or None. Announced bytes are not reserved yet."""
        if asks_first and (full := self._queue.full()):
            return full
        if self._length_bytes is None:
            return None
        # Asks for room for all of it, then gives the room back: it counts with the bytes that have arrived.
        return self._reserve(self._length_bytes, now_s) or self._reserve(0, now_s)

    def add(self, piece: bytes, now_s: float) -> Refusal | None:
        """Add the next piece. Returns why the request is refused, or None; a refused body is dropped."""
        self._received_bytes += len(piece)
        self._watch.received(len(piece), now_s)
        refusal: Refusal | None
        if self._received_bytes > self._limits.max_bytes:
            refusal = self._limits.too_large()
        elif self._gave_way:
            refusal = Rejection.QUEUE_BYTES
        else:
            refusal = self._reserve(self._received_bytes, now_s)
        if refusal is not None:
            self.forget()
        elif self._content is None:
            self._arriving.add(self)
            self._content = io.BytesIO(piece)  # which shares it: most bodies come in one piece
            self._content.seek(0, io.SEEK_END)
        else:
            self._content.write(piece)
        return refusal

    def end(self) -> Refusal | None:
        """All of it has come. Returns why the request is refused, or None."""
        self._arriving.discard(self)
        return Rejection.QUEUE_BYTES if self._gave_way else None

    def give_way(self) -> None:
        """Drop the body, because it has stopped and another one needs its room."""
        self._gave_way = True
        self.forget()

    def take(self) -> bytes:
        """Return the whole body, once. Any thread may call this."""
        content, self._content = self.content, None
        return content

    def forget(self) -> None:
        """Drop the body."""
        self._content = None
        self._arriving.discard(self)
        self._queue.forget_body(self)

    def _reserve(self, body_bytes: int, now_s: float) -> Rejection | None:
        rejection = self._queue.reserve(self, body_bytes, small=self._small)
        while rejection is not None:
            stopped = self._arriving.next_stopped(now_s)
            if stopped is None or stopped is self:  # a body that drips gets no room from others
                break
            stopped.give_way()
            rejection = self._queue.reserve(self, body_bytes, small=self._small)
        return rejection
