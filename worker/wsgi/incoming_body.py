"""A body that is coming in: held in memory, counted by the queue, and given up where it is too slow."""

from __future__ import annotations

import io
from dataclasses import dataclass

from tfleet.contract.problem import Problem
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.timers import SlowSenderWatch
from tfleet.worker.rejection import Rejection
from tfleet.worker.wsgi.admission_queue import AdmissionQueue

Refusal = Problem | Rejection
"""Why a request gets no further: a Rejection is the application's to explain, a Problem is the answer."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What a body may take: bytes, seconds without any, and the least bytes a second, for longer ones."""

    max_bytes: int
    timeout_s: float = 30.0  # as the proxy waits for its clients
    bytes_per_s: float = 16 * 1024

    def too_large(self) -> Problem:
        """What is said of a body over the limit."""
        return Problem(
            413, f"the body is over {self.max_bytes} bytes, the worker's limit: see --max-body-bytes"
        )

    def too_slow(self) -> Problem:
        """What is said of a body that stopped, or that drips."""
        return Problem(
            408,
            f"nothing came of the body for {self.timeout_s:g} s, or fewer than {self.bytes_per_s:g} bytes a "
            "second: send the image again, in one go",
        )


class IncomingBody:
    """The body of one request, and what stands for the request in the queue.

    For the thread of the loop, but for `take`.
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
        """The time of the loop's clock at which it is too slow, if nothing more comes of it."""
        return self._watch.due_s

    def admit(self, *, asks_first: bool) -> Refusal | None:
        """Why it may not come in, as far as its head tells. What is only announced is not held yet."""
        if asks_first and (full := self._queue.full()):
            return full
        if self._length_bytes is None:
            return None
        return self._reserve(self._length_bytes) or self._reserve(0)

    def add(self, piece: bytes, now_s: float) -> Refusal | None:
        """Take the next piece, or say why not: then nothing of it is held any more."""
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
        """All of it, once. Called by any thread."""
        content, self._content = self._content, None
        return b"" if content is None else content.getvalue()

    def forget(self) -> None:
        """Nobody needs it any more."""
        self._content = None
        self._queue.forget_body(self)

    def _reserve(self, body_bytes: int) -> Rejection | None:
        return self._queue.reserve(self, body_bytes, small=self._small)
