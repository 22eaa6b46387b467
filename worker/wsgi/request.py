"""What is refused of a request's head beyond what waitress refuses.

Heads are read and answered in the thread that all connections share, so that the dearest one counts: 64 KiB
of the shortest fields take 70 ms to parse, of the shortest parameters of a query 30.

A request that is coming in: waitress' parser, with what a worker refuses and what it holds of a body.

- A length of thousands of digits, or one beside chunks, is a broken request like any other; see head.py for
  more that is refused.
- A body that is refused is not asked for: no `100 Continue` follows a refusal.
- A body for which the queue has no bytes is refused when its head is there, or when it has grown too large.
  What is no image needs no body. What comes of either is thrown away.
- The gate is asked as soon as the head is there, for whatever comes by POST: an image, or the question to
  leave. Who may not enter is treated as who finds the queue full.
- So is what is for another worker, one whose address this one has got: it is refused before it is read.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, Error, RequestHeaderFieldsTooLarge

from tfleet.contract.names import DRAIN_PATH, WORKER
from tfleet.httpd.http1.proxy_protocol import protocol_fault
from tfleet.worker.rejection import Rejection
from tfleet.worker.wsgi.admission_queue import Queue

_MOST_LINE_BYTES: Final = 8 * 1024
_MOST_FIELDS: Final = 256
_CONTINUE: Final = "100-continue"
_HOST: Final = re.compile(rb"^host:", re.IGNORECASE | re.MULTILINE)


class ExpectationFailedError(Error):  # type: ignore[misc] # waitress has no types
    """417, which waitress does not know."""

    code = 417
    reason = "Expectation Failed"


def oversize(head: bytes) -> Error | None:
    """Why a head is not even parsed, if it isn't. It is as it came, with its blank line."""
    line_bytes = head.find(b"\r\n")
    if line_bytes > _MOST_LINE_BYTES:
        return RequestHeaderFieldsTooLarge(f"its first line is over {_MOST_LINE_BYTES} bytes")
    if head.count(b"\r\n") > _MOST_FIELDS + 2:
        return RequestHeaderFieldsTooLarge(f"it has more than {_MOST_FIELDS} header fields")
    return None


def refusal(head: bytes, version: str, headers: Mapping[str, str]) -> Error | None:
    """Why a head that was parsed is refused, if it is. `headers` has waitress' names: CONTENT_LENGTH."""
    hosts = len(_HOST.findall(head))
    if hosts > 1 or (version == "1.1" and not hosts):
        return BadRequest(f"it must have one Host and has {hosts or 'none'}")
    expected = headers.get("EXPECT", _CONTINUE)
    if version == "1.1" and expected.lower() != _CONTINUE:
        return ExpectationFailedError(f"Expect: {expected[:20]!r} is not met here, only {_CONTINUE}")
    return None


Gate = Callable[[str | None, str], Rejection | None]
"""Why a POST may not come in, if it may not, by its X-Ticket and its query."""

_ADDRESSEE: Final = WORKER.upper().replace("-", "_")
_DISCARDED: Final = 64 * 1024  # of a refused body, so that its connection can be kept


class _StalledError(Error):  # type: ignore[misc] # waitress has no types
    """The client has not sent the rest of a body."""

    code = 408
    reason = "Request Timeout"


class _Nowhere:
    """Where the bytes of a body go that nobody will read: what is used of waitress' buffers."""

    def __len__(self) -> int:
        return 0

    def append(self, data: bytes) -> None:
        """Forget them."""

    def getfile(self) -> io.BytesIO:
        """What the application reads."""
        return io.BytesIO()

    def close(self) -> None:
        """Nothing is held."""


class Request(HTTPRequestParser):  # type: ignore[misc] # waitress has no types
    """A request that is coming in."""

    ends_connection = False
    """Whether what follows can't be told from the rest of this request, which is not waited for."""
    _refused: Error | None = None
    begun_s = 0.0
    arrived_s = 0.0
    command = path = ""  # what waitress leaves out where the request line can't be read
    rejection: Rejection | None = None
    error: Error | None
    completed: bool
    _keeps_body: bool | None = None
    """Known once the head is there."""

    def __init__(self, adj: Any, queue: Queue, gate: Gate | None, worker: str) -> None:
        super().__init__(adj)
        self._worker = worker
        self._queue = queue
        self._gate = gate

    @property
    def may_be_image(self) -> bool:
        """Whether it is to wait for its turn: images come by POST, and so does little else."""
        return self.command == "POST" and self.path != DRAIN_PATH and not self.error

    @property
    def lacks_body(self) -> bool:
        """Whether the head is there and the body is not."""
        return self.headers_finished and not self.completed

    def received(self, data: bytes) -> int:
        if not self.begun_s:
            self.begun_s = time.perf_counter()
        consumed: int = super().received(data)
        if self.error:
            self.error = self._refused or self.error
            self._forget_body()
            self.ends_connection = True
        elif self.body_rcv is not None:
            self._look_at_body()
        if self.completed:
            self.expect_continue = False
            self.arrived_s = time.perf_counter()
        return len(data) if self.ends_connection else consumed

    def reject(self, rejection: Rejection) -> None:
        """Keep nothing of it but its head, which is to be told why."""
        self.rejection = rejection
        self._forget_body()

    def give_up(self) -> None:
        """Don't wait for the rest."""
        self.error = _StalledError("nothing came of its body for too long")
        self.completed = self.ends_connection = True
        self._forget_body()

    def close(self) -> None:
        """Called when it has been served, by the thread that is about to be free, and before the next one."""
        super().close()
        self._queue.end(self)

    def _look_at_body(self) -> None:
        """Decide what becomes of it: at its head, and in chunks with each that comes."""
        if self._keeps_body is None:
            self._keeps_body = self.may_be_image
            if rejection := self.rejection or self._no_room_for_all():
                self._reject_early(rejection)
                return
            if not self._keeps_body:
                self._forget_body()
                return
        if self._keeps_body and (rejection := self._queue.reserve(self, self.body_bytes_received)):
            self._reject_early(rejection)

    def _no_room_for_all(self) -> Rejection | None:
        """Why it can be told from the head that there is no room. What is announced is not held yet."""
        if not self._keeps_body:
            return None
        if self.expect_continue and (full := self._queue.full()):
            return full
        return None if self.chunked else self._queue.reserve(self, self.content_length)

    def _reject_early(self, rejection: Rejection) -> None:
        self.reject(rejection)
        if self.chunked or self.expect_continue or self.content_length > _DISCARDED:
            self.completed = self.ends_connection = True

    def _forget_body(self) -> None:
        self.close()
        self._keeps_body = False
        if self.body_rcv is not None:
            self.body_rcv.buf = _Nowhere()

    def parse_header(self, header_plus: bytes) -> None:
        if fault := protocol_fault(header_plus):
            raise ParsingError(fault)
        self._refuse(oversize(header_plus))
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # more digits than Python reads (sys.get_int_max_str_digits)
            raise ParsingError("Content-Length is no length") from error
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding name two lengths")
        self._refuse(refusal(header_plus, self.version, self.headers))
        if self.command == "POST":
            self.rejection = self._rejected_at_head()

    def _rejected_at_head(self) -> Rejection | None:
        if self.headers.get(_ADDRESSEE, self._worker) != self._worker:
            return Rejection.MISDIRECTED
        return None if self._gate is None else self._gate(self.headers.get("X_TICKET"), self.query)

    def _refuse(self, refused: Error | None) -> None:
        if refused is not None:
            self._refused = refused  # waitress makes a 400 of what it catches here
            raise ParsingError(refused.body)
