"""One client's connection to waitress.

Rules that waitress alone does not keep:

- What waitress itself refuses (a broken request, a body over the limit) gets a problem document.
- A body that is refused is not asked for: no `100 Continue` follows a refusal.
- After a refusal the rest of the body is thrown away for a moment instead of resetting the connection,
  because a reset makes many clients lose the answer (RFC 9112 section 9.6).
- A length of thousands of digits, or one beside chunks, is a broken request like any other.
- While the worker drains, each answer says `Connection: close`.
- An image for which the queue has no place is not served: the application is called all the same, told so by
  `REJECTED`, so that its answer has all that every answer has. The connection is kept.
- A client that closes while its request waits, or only its sending side, has left. The application is told
  that in the same way when the request's turn comes, so that it is counted, and its answer goes nowhere.
"""

from __future__ import annotations

import socket
import time
from typing import Any, Final

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask, WSGITask

from tfleet.discovery.contract import REQUEST_ID
from tfleet.discovery.problem import Problem
from tfleet.discovery.request_id import request_id
from tfleet.worker.rejection import Rejection

BEGUN: Final = "tfleet.begun_s"
"""The key in the WSGI environment: when the first byte of the request came, by `time.perf_counter`."""

ARRIVED: Final = "tfleet.arrived_s"
"""And when the request was complete."""

QUEUE: Final = "tfleet.queue"
"""The queue for the threads, as it is at any time: a `tfleet.worker.http.queue.Queue`."""

REJECTED: Final = "tfleet.rejected"
"""Why nothing may be computed for this request, a Rejection; missing where something may."""

_DRAIN = "/drain"
_LINGER_S = 2.0
_DISCARDED_AT_ONCE = 64 * 1024


class Parser(HTTPRequestParser):  # type: ignore[misc] # waitress has no types
    """A request that is coming in."""

    begun_s = 0.0
    arrived_s = 0.0
    command = path = ""  # what waitress leaves out where the request line can't be read
    queued_bytes: int | None = None  # of its body, once it has a place in the queue
    rejection: Rejection | None = None

    @property
    def may_be_image(self) -> bool:
        """Whether it is to wait for its turn: images come by POST, and so does little else."""
        return self.command == "POST" and self.path != _DRAIN and not self.error

    @property
    def body_bytes(self) -> int:
        """How much has come of the body."""
        return 0 if self.body_rcv is None else len(self.body_rcv)

    def received(self, data: bytes) -> int:
        if not self.begun_s:
            self.begun_s = time.perf_counter()
        consumed: int = super().received(data)
        if self.error:
            self.expect_continue = False
        if self.completed:
            self.arrived_s = time.perf_counter()
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # more digits than Python reads (sys.get_int_max_str_digits)
            raise ParsingError("Content-Length is no length") from error
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding name two lengths")


class AppTask(WSGITask):  # type: ignore[misc] # waitress has no types
    """A request that the application answers."""

    wrote_header: bool

    def build_response_header(self) -> bytes:
        if self.channel.server.draining:
            # As if the client had asked for it: the answer says so and the connection ends after it.
            self.request.headers["CONNECTION"] = "close"
        header: bytes = super().build_response_header()
        return header

    def write(self, data: bytes) -> None:
        """Head and body go out together where the body is one piece: two packets cost more, and wake the
        client twice.
        """
        if self.wrote_header or not self.complete or not data or self.content_length != len(data):
            super().write(data)
            return
        head = self.build_response_header()
        self.wrote_header = True
        self.content_bytes_written = len(data)
        self.channel.write_soon(head + data)

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[BEGUN] = self.request.begun_s
        environ[ARRIVED] = self.request.arrived_s
        environ[QUEUE] = self.channel.server.queue
        if self.request.rejection is not None:
            environ[REJECTED] = self.request.rejection
        return environ

    def tell(self) -> None:
        """Call the application for its own sake: nobody is there to read the answer."""
        answer = self.channel.server.application(self.get_environment(), lambda *_: None)
        if close := getattr(answer, "close", None):
            close()


class RefusalTask(ErrorTask):  # type: ignore[misc] # waitress has no types
    """A request that never reaches the application."""

    def execute(self) -> None:
        problem = self._problem()
        body = problem.body()
        self.status = f"{problem.status} {problem.title}"
        self.response_headers.extend(problem.headers().items())
        self.response_headers.append((REQUEST_ID, request_id(self.request.headers.get("X_REQUEST_ID"))))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.channel.linger = True
        self.write(body)

    def _problem(self) -> Problem:
        error = self.request.error
        if error.code == 413:  # noqa: PLR2004 - an HTTP status
            limit = self.channel.adj.max_request_body_size - 1
            return Problem(413, f"the body is over {limit} bytes, the worker's limit: see --max-body-bytes")
        return Problem(error.code, f"the request is not HTTP that can be read: {error.body}")


class Channel(HTTPChannel):  # type: ignore[misc] # waitress has no types
    """A connection that can linger: answered, half closed, and what still comes is thrown away."""

    parser_class = Parser
    task_class = AppTask
    error_task_class = RefusalTask

    linger = False
    served: Parser | None = None
    """The request that was served last, or is being served."""
    _lingers_until_s: float | None = None
    _sends_ahead = False

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight: no request, no part of one, no part of an answer."""
        return not (self.requests or self.request or self.total_outbufs_len)

    def service(self) -> None:
        """Answer the first request. Called by the thread that has taken it; see server.py for which."""
        self.served = request = self.requests[0]
        if request.queued_bytes is not None:
            self.server.queue.begin(request, request.queued_bytes)
        try:
            if request.may_be_image and not self.connected:
                request.rejection = Rejection.CLIENT_GONE
                AppTask(self, request).tell()
            super().service()
        finally:
            self.server.queue.end(request)

    def cancel(self) -> None:
        """Called instead of `service` when the threads end."""
        self.server.queue.leave(self.requests[0].queued_bytes)
        super().cancel()

    def handle_close(self) -> None:
        if self.linger and self._lingers_until_s is None and self.connected:
            self._lingers_until_s = time.monotonic() + _LINGER_S
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the client is gone already: there is nothing to wait for
            else:
                self.will_close = False
                return
        super().handle_close()

    def readable(self) -> bool:
        if self._lingers_until_s is None:
            return bool(super().readable()) or self._watched
        if time.monotonic() >= self._lingers_until_s:
            self.handle_close()
            return False
        return True

    def writable(self) -> bool:
        return self._lingers_until_s is None and bool(super().writable())

    def handle_read(self) -> None:
        if self._watched:
            self._look_whether_it_left()
            return
        if self._lingers_until_s is None:
            self._sends_ahead = False
            super().handle_read()
            return
        try:
            self.recv(_DISCARDED_AT_ONCE)  # at the end of the stream it closes the channel by itself
        except OSError:
            super().handle_close()

    @property
    def _watched(self) -> bool:
        """Whether a request is under way, so that nothing is read here but the client's end."""
        return bool(self.requests) and self.connected and not self._sends_ahead

    def _look_whether_it_left(self) -> None:
        try:
            ahead = self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            ahead = b""
        if ahead:
            self._sends_ahead = True  # the next request: it is read when its turn comes
        else:
            self.handle_close()
