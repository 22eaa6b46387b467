"""Receives a request's body into memory, counts it in the queue, and refuses it if it is too slow."""

from __future__ import annotations

import io
from dataclasses import dataclass

from tfleet.contract.problem import Problem
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.timers import SlowSenderWatch
from tfleet.worker.rejection import Rejection
from tfleet.worker.wsgi.admission_queue import AdmissionQueue

Refusal = Problem | Rejection
"""Why a request is refused: the application answers a Rejection, the server answers a Problem."""


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
            "second: send the image again, in one go",
        )


class IncomingBody:
    """The body of one request, which stands for the request in the queue.

    Only the event loop's thread may call its methods, apart from `take`.
    """

    def __init__(self, head: RequestHead, queue: AdmissionQueue, limits: BodyLimits, now_s: float) -> None:
        self._queue = queue
        self._limits = limits
        self._length_bytes = None if head.chunked else head.length_bytes
        self._small = not head.chunked and queue.limits.is_small(head.length_bytes)
        self._content: io.BytesIO | None = None
        self._received_bytes = 0
        self._watch = SlowSenderWatch(limits.timeout_s, limits.bytes_per_s, now_s)

    def __repr__(self) -> str:
        return f"<IncomingBody {self._received_bytes} of {self._length_bytes}>"

    @property
    def due_s(self) -> float:
        """When, on the loop's clock, the body is too slow if no more of it arrives."""
        return self._watch.due_s

    def admit(self, *, asks_first: bool) -> Refusal | None:
        """Why the request is refused by its head, or None. Announced bytes are not reserved yet."""
        if asks_first and (full := self._queue.full()):
            return full
        if self._length_bytes is None:
            return None
        # Asks for room for all of it, then gives the room back: it counts with the bytes that have arrived.
        return self._reserve(self._length_bytes) or self._reserve(0)

    def add(self, piece: bytes, now_s: float) -> Refusal | None:
        """Add the next piece. Returns why the request is refused, or None; a refused body is dropped."""
        self._received_bytes += len(piece)
        self._watch.received(len(piece), now_s)
        refusal: Refusal | None
        if self._received_bytes > self._limits.max_bytes:
            refusal = self._limits.too_large()
        else:
            refusal = self._reserve(self._received_bytes)
        if refusal is not None:
            self.forget()
        elif self._content is None:
            self._content = io.BytesIO(piece)  # which shares it: most bodies come in one piece
            self._content.seek(0, io.SEEK_END)
        else:
            self._content.write(piece)
        return refusal

    def take(self) -> bytes:
        """Return the whole body, once. Any thread may call this."""
        content, self._content = self._content, None
        return b"" if content is None else content.getvalue()

    def forget(self) -> None:
        """Drop the body."""
        self._content = None
        self._queue.forget_body(self)

    def _reserve(self, body_bytes: int) -> Rejection | None:
        return self._queue.reserve(self, body_bytes, small=self._small)
