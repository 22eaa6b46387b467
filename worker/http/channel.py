"""One client's connection to waitress.

Rules that waitress alone does not keep:

- What waitress itself refuses (a broken request, a body over the limit) gets a problem document.
- A body that is refused is not asked for: no `100 Continue` follows a refusal.
- After a refusal the rest of the body is thrown away for a moment instead of resetting the connection,
  because a reset makes many clients lose the answer (RFC 9112 section 9.6).
- A length of thousands of digits, or one beside chunks, is a broken request like any other; see head.py for
  more that is refused.
- While the worker drains, each answer says `Connection: close`.
- An image for which the queue has no place is not served: the application is called all the same, told so by
  `REJECTED`, so that its answer has all that every answer has. The connection is kept, unless much of the
  body is still to come, or the client asked before it sent any.
- A body for which the queue has no bytes is refused when its head is there, one in chunks when it has grown
  too large. What is no image needs no body. What comes of either is thrown away.
- A body of which nothing has come for a while is given up: it holds bytes that others need.
- A client that closes while its request waits, or only its sending side, has left. The application is told
  that in the same way when the request's turn comes, so that it is counted, and its answer goes nowhere.
"""

from __future__ import annotations

import io
import socket
import time
from typing import Any, Final

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import Error

from tfleet.discovery.contract import REQUEST_ID
from tfleet.discovery.problem import Problem
from tfleet.discovery.request_id import request_id
from tfleet.worker.http.head import oversize, refusal
from tfleet.worker.http.queue import Queue
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


class Parser(HTTPRequestParser):  # type: ignore[misc] # waitress has no types
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

    def __init__(self, adj: Any, queue: Queue) -> None:
        super().__init__(adj)
        self._queue = queue

    @property
    def may_be_image(self) -> bool:
        """Whether it is to wait for its turn: images come by POST, and so does little else."""
        return self.command == "POST" and self.path != _DRAIN and not self.error

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
            if not self._keeps_body:
                self._forget_body()
                return
            if rejection := self._no_room():
                self._reject_early(rejection)
        elif self.chunked and self._keeps_body and (rejection := self._no_room()):
            self._reject_early(rejection)

    def _no_room(self) -> Rejection | None:
        if self.expect_continue and (full := self._queue.full()):
            return full
        return self._queue.reserve(self, self.body_bytes_received if self.chunked else self.content_length)

    def _reject_early(self, rejection: Rejection) -> None:
        self.reject(rejection)
        if self.chunked or self.expect_continue or self.content_length > _DISCARDED_AT_ONCE:
            self.completed = self.ends_connection = True

    def _forget_body(self) -> None:
        self.close()
        self._keeps_body = False
        if self.body_rcv is not None:
            self.body_rcv.buf = _Nowhere()

    def parse_header(self, header_plus: bytes) -> None:
        self._refuse(oversize(header_plus))
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # more digits than Python reads (sys.get_int_max_str_digits)
            raise ParsingError("Content-Length is no length") from error
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding name two lengths")
        self._refuse(refusal(header_plus, self.version, self.headers))

    def _refuse(self, refused: Error | None) -> None:
        if refused is not None:
            self._refused = refused  # waitress makes a 400 of what it catches here
            raise ParsingError(refused.body)


class AppTask(WSGITask):  # type: ignore[misc] # waitress has no types
    """A request that the application answers."""

    wrote_header: bool

    def build_response_header(self) -> bytes:
        if self.channel.server.draining:
            # As if the client had asked for it: the answer says so and the connection ends after it.
            self.request.headers["CONNECTION"] = "close"
        if self.request.ends_connection:
            self.request.headers["CONNECTION"] = "close"
            self.channel.linger = True
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
        if error.code == 417:  # noqa: PLR2004 - an HTTP status
            return Problem(417, error.body)
        if error.code == 431:  # noqa: PLR2004 - an HTTP status
            return Problem(431, f"the head is too large: {error.body}")
        if error.code == 408:  # noqa: PLR2004 - an HTTP status
            return Problem(408, f"{error.body}: send the image again, in one go")
        return Problem(error.code, f"the request is not HTTP that can be read: {error.body}")


class Channel(HTTPChannel):  # type: ignore[misc] # waitress has no types
    """A connection that can linger: answered, half closed, and what still comes is thrown away."""

    task_class = AppTask
    error_task_class = RefusalTask

    request: Parser | None
    linger = False
    served: Parser | None = None
    """The request that was served last, or is being served."""
    _lingers_until_s: float | None = None
    _sends_ahead = False

    def parser_class(self, adj: Any) -> Parser:
        """Called for each request."""
        return Parser(adj, self.server.queue)

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight: no request, no part of one, no part of an answer."""
        return not (self.requests or self.request or self.total_outbufs_len)

    @property
    def silent(self) -> bool:
        """Whether nothing has come yet since it connected."""
        return bool(self.last_activity == self.creation_time)

    def service(self) -> None:
        """Answer the first request. Called by the thread that has taken it; see server.py for which."""
        self.served = request = self.requests[0]
        self.server.queue.begin(request)
        try:
            if request.may_be_image and not self.connected:
                request.rejection = Rejection.CLIENT_GONE
                AppTask(self, request).tell()
            super().service()
        finally:
            self.server.queue.end(request)
            if not self.connected:
                self._forget(*self.requests)  # those sent ahead: nobody calls this for them any more

    def cancel(self) -> None:
        """Called instead of `service` when the threads end."""
        self._forget(*self.requests)
        super().cancel()

    def del_channel(self, map: Any = None) -> None:  # noqa: A002 - waitress' name
        """Called at every end of the connection. What is complete is left to `service`."""
        super().del_channel(map)
        if self.request is not None:
            self._forget(self.request)

    def give_up_stalled(self, now_s: float, timeout_s: float) -> None:
        """End a body of which nothing has come for so long. `now_s` is by time.time, as all in waitress."""
        request = self.request
        if self.requests or request is None or not request.lacks_body:
            return
        if now_s - self.last_activity < timeout_s:
            return
        if self.total_outbufs_len:
            self.will_close = True  # it does not read either
            return
        with self.requests_lock:
            request.give_up()
            self.request = None
            self.requests.append(request)
            self.server.add_task(self)

    def _forget(self, *requests: Parser) -> None:
        for request in requests:
            self.server.queue.end(request)

    def received(self, data: bytes) -> bool:
        took: bool = super().received(data)
        if not self.connected and self.request is not None:
            self._forget(self.request)  # it was lost in between, as `100 Continue` went out
        return took

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
