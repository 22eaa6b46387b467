"""One client's connection: aiohttp's, with limits and with errors that say what was wrong.

- A connection beyond the limit is answered 503 and closed, before anything is read of it.
- A head must be complete within `header_timeout_s` of its first byte, the first one also of the connection's
  beginning; else 408, or just the end where nothing was sent. It must not be over MOST_HEAD_BYTES either.
- Between two requests the connection may be idle for `idle_timeout_s`.
- What is no HTTP is answered 400 with a problem document, counted and logged, and the connection closed.

How long a body and an answer may take is the forwarder's matter.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, Final, cast

import structlog
from aiohttp import EMPTY_PAYLOAD, StreamReader, http_exceptions, web
from aiohttp.http_parser import RawRequestMessage

from tfleet.discovery.contract import MOST_HEAD_BYTES, REQUEST_ID
from tfleet.discovery.problem import Problem
from tfleet.discovery.request_id import request_id
from tfleet.proxy.clients import Admission, ClientLimits, Clients
from tfleet.proxy.metrics import Metrics
from tfleet.proxy.problems import problem_response

# After an early answer the rest of a body is thrown away for this long, so that the client sees the answer
# instead of a reset.
_LINGER_S: Final = 2.0
_MALFORMED: Final = "malformed"

_TOO_MANY: Final = Problem(
    503, "the proxy has all the connections it may have: see --max-connections", retry_after_s=1
)


class ClientConnection(web.RequestHandler):
    """An HTTP connection of a client's."""

    __slots__ = (
        "_admission",
        "_answering",
        "_body",
        "_clients",
        "_ending",
        "_head_bytes",
        "_limits",
        "_metrics",
        "_timer",
        "_was_asked",
    )

    def __init__(
        self,
        server: web.Server,
        *,
        loop: asyncio.AbstractEventLoop,
        clients: Clients,
        limits: ClientLimits,
        metrics: Metrics,
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type] # none at all: the middleware writes it
            auto_decompress=False,  # a body goes on as it came, under the headers that it came with
            keepalive_timeout=limits.idle_timeout_s,
            lingering_time=_LINGER_S,
        )
        self._clients = clients
        self._limits = limits
        self._metrics = metrics
        self._admission = Admission.CLOSED
        self._body: StreamReader = EMPTY_PAYLOAD
        self._answering = False
        self._ending = False
        self._was_asked = False
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        self._admission = self._clients.come()
        if self._admission is Admission.SERVED:
            super().connection_made(transport)
            self._await_head()
        elif self._admission is Admission.TOLD_OFF:
            self._end_with(_TOO_MANY, request_id(None), transport)
        else:
            transport.abort()

    def connection_lost(self, error: BaseException | None) -> None:
        self._clients.go(self._admission)
        self._head_is_there()
        if self._admission is Admission.SERVED:
            super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        if self._body.is_eof():
            too_large = self._head_bytes > MOST_HEAD_BYTES and not self._answering
            self._head_bytes += len(data)
            if self._timer is None:
                self._await_head()
            if too_large:
                self._refuse(
                    Problem(400, f"this is no HTTP request: its head is over {MOST_HEAD_BYTES} bytes")
                )
                return
        super().data_received(data)
        self._break_off_unreadable_body()

    def begins(self, request: web.BaseRequest) -> None:
        """Take the news that a head was complete and its request is handled now."""
        self._head_is_there()
        self._body = request.content
        self._answering = self._was_asked = True

    def end_if_idle(self, *, newcomers: bool) -> None:
        """Close it if nothing is under way on it. One that was never used counts only with `newcomers`."""
        under_way = self._answering or self._head_bytes or self._messages
        if not under_way and (self._was_asked or newcomers):
            self.force_close()

    def log_access(self, request: web.BaseRequest, response: web.StreamResponse, time: float | None) -> None:
        """Called by aiohttp at the end of each answer, which is all that is wanted of it here."""
        self._answering = False

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Called by aiohttp for what is no HTTP, and for a connection that broke off in its answer."""
        if isinstance(exc, ConnectionError):
            raise exc
        log: Any = structlog.get_logger()
        name = request_id(None)
        if isinstance(exc, http_exceptions.HttpProcessingError):
            problem = Problem(400, f"this is no HTTP request: {_reason(exc)}")
            log.info("request", request_id=name, method=None, path=None, status=400, error=problem.detail)
        else:
            problem = Problem(500, "the proxy failed; its log has the reason under this request id")
            log.error("request failed", request_id=name, exc_info=exc)
        self._metrics.requests.labels(_MALFORMED, str(problem.status)).inc()
        response = problem_response(problem)
        response.headers[REQUEST_ID] = name
        response.force_close()
        return response

    def _break_off_unreadable_body(self) -> None:
        """Tell whoever reads a body that it can't be read on: aiohttp only queues the refusal behind it."""
        if not self._messages or isinstance(self._messages[-1][0], RawRequestMessage):
            return
        body = self._messages[-2][1] if len(self._messages) > 1 else self._body
        if not body.is_eof():
            body.set_exception(web.RequestPayloadError("its chunks can't be read"))
            body.feed_eof()

    def _await_head(self) -> None:
        self._timer = self._loop.call_later(self._limits.header_timeout_s, self._head_is_late)

    def _head_is_there(self) -> None:
        self._head_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        self._timer = None
        if self._answering:
            return  # it is the head behind one that is still being answered: the idle time-out is for that
        if self._head_bytes:
            seconds = self._limits.header_timeout_s
            self._refuse(
                Problem(408, f"the head of the request took over {seconds:g} s: see --header-timeout")
            )
        else:
            self.force_close()

    def _refuse(self, problem: Problem) -> None:
        """Answer what never became a request, and end the connection."""
        name = request_id(None)
        structlog.get_logger().info(
            "request", request_id=name, method=None, path=None, status=problem.status, error=problem.detail
        )
        self._metrics.requests.labels(_MALFORMED, str(problem.status)).inc()
        self.close()  # what still comes is thrown away
        self._end_with(problem, name, cast(asyncio.Transport, self.transport))

    def _end_with(self, problem: Problem, name: str, transport: asyncio.Transport) -> None:
        """Closed at once, a client that is still sending would be reset and never see the answer."""
        self._ending = True
        transport.write(_on_the_wire(problem, name))
        transport.write_eof()
        self._head_is_there()
        self._timer = self._loop.call_later(_LINGER_S, transport.abort)


def _on_the_wire(problem: Problem, name: str) -> bytes:
    body = problem.body()
    lines = [
        f"HTTP/1.1 {problem.status} {problem.title}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    lines += [f"{key}: {value}" for key, value in (problem.headers() | {REQUEST_ID: name}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _reason(error: http_exceptions.HttpProcessingError) -> str:
    """What the parser found, in one line, without the bytes in which it found it."""
    if isinstance(error, http_exceptions.LineTooLong):
        return "a line of its head is too long"
    if isinstance(error, http_exceptions.InvalidURLError):
        return "its target is no URL"
    told = itertools.takewhile(bool, (line.strip() for line in error.message.splitlines()))
    return " ".join(told).removesuffix(":")
