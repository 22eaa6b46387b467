"""A request for one of the proxy's own pages: forwarded to the application behind its unix socket.

Rules:
- The request goes on with its body, and the response comes back, both as they come. The slower side sets the
  pace in both directions.
- The head of the response is due within `timeout_s`: else 504, or 408 if the body is not there yet. A reply
  that has begun may stream for as long as the client takes it.
- A body over `max_body_bytes` is 413, as soon as so much of it has come. A page that refuses the request by
  its head alone answers before that.
- A client that sends nothing of its body for `client_timeout_s` is 408. One that takes nothing of the
  response for that long is disconnected.
- `Expect: 100-continue` is met where the application does not answer at once, so that a refusal comes before
  the body.
- If the client disconnects, the application's handler is cancelled.
- The application counts the request and writes the access log. What it never saw is logged here.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tfleet.contract.cors import Cors
from tfleet.contract.problem import Problem
from tfleet.contract.request_id import request_id
from tfleet.httpd.half_closed import may_wait
from tfleet.httpd.http1.local_response import CONTINUE, LAST_CHUNK, connection_lines, problem_to
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.http1.response import ResponseHead
from tfleet.httpd.interfaces import Client
from tfleet.httpd.timers import SlowReaderWatch
from tfleet.proxy.admin.page_heads import page_refusal, page_request_head, page_response_head
from tfleet.proxy.problems import body_too_large
from tfleet.proxy.telemetry.access_log import CLIENT_CLOSED, AccessLog
from tfleet.proxy.upstream.connection import WorkerConnection
from tfleet.proxy.upstream.connection_pool import WorkerConnections

_CONTINUE_AFTER_S: Final = 0.1
_LOOK_EVERY_S: Final = 2.0
_BAD_REQUEST: Final = 400
_UNKNOWN: Final = "unknown"
_UNREADABLE: Final = Problem(400, "the head of the request can't be read: see its target and its fields")
_AWAY: Final = Problem(503, "the proxy's own pages can't be reached now: see its log", retry_after_s=1)


@dataclass(frozen=True, slots=True)
class PageLimits:
    """The limits of one request for a page."""

    max_body_bytes: int
    timeout_s: float
    client_timeout_s: float


class PageForwarder:
    """Forwards requests to the application that listens on the unix socket at `path`."""

    def __init__(
        self,
        path: Path,
        connections: WorkerConnections,
        limits: PageLimits,
        access_log: AccessLog,
        cors: Cors,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.path = path
        self.connections = connections
        self.limits = limits
        self.access_log = access_log
        self.cors = cors
        self.loop = loop

    def __repr__(self) -> str:
        return f"<PageForwarder {self.path}>"

    def __call__(self, head: RequestHead, client: Client) -> PageRequest:
        """Return the request's handler (see httpd/interfaces.py)."""
        return PageRequest(head, client, self)


class PageRequest:
    """One request and its response. To httpd it is an OpenRequest, to the connection a ResponseSink."""

    __slots__ = (
        "_body",
        "_client",
        "_connecting",
        "_connection",
        "_head",
        "_keep",
        "_pages",
        "_request_id",
        "_response",
        "_response_begun",
        "_response_chunked",
        "_since_s",
        "_slow_reader",
        "_started_s",
    )

    def __init__(self, head: RequestHead, client: Client, pages: PageForwarder) -> None:
        self._head = head
        self._client = client
        self._pages = pages
        self._request_id = request_id(head.request_id)
        self._body = _PageBody(head)
        self._connection: WorkerConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._response: ResponseHead | None = None
        self._response_begun = self._response_chunked = self._keep = False
        self._started_s = self._since_s = 0.0
        """`_since_s` is when the client last sent a part of its body."""
        self._slow_reader = SlowReaderWatch(pages.limits.client_timeout_s)

    def __repr__(self) -> str:
        return f"<PageRequest {self._request_id} {self._body.received_bytes} bytes>"

    # Called by the client's connection.

    def start(self) -> None:
        """Send it to the application, over a kept connection or a new one."""
        self._started_s = self._since_s = self._pages.loop.time()
        if (refused := page_refusal(self._head, self._pages.limits.max_body_bytes)) is not None:
            self._log(refused.status)
            self._fail(refused)
            return
        connection = self._pages.connections.take(self._pages.path)
        if connection is not None:
            self._begin(connection)
        else:
            if not self._body.ended:
                self._client.pause_reading()  # until there is a connection to pass it on
            self._connecting = self._pages.loop.create_task(self._connect())
        self._set_deadline()

    def body_received(self, piece: bytes) -> None:
        """Pass on the next piece of the body."""
        self._since_s = self._pages.loop.time()
        framed = self._body.add(piece)
        if self._body.received_bytes > self._pages.limits.max_body_bytes:
            self.body_too_large()
        elif self._connection is None:
            self._body.waiting.append(framed)
        else:
            self._connection.send(framed)

    def body_ended(self) -> None:
        """Tell the application that the body has ended."""
        self._body.ended = True
        if self._connection is not None and self._head.chunked:
            self._connection.send(LAST_CHUNK)

    def body_failed(self, reason: str) -> None:
        """Answer 400: the framing of the body is broken."""
        self._fail(Problem(400, f"the body can't be read: {reason}"))

    def body_too_large(self) -> None:
        """Answer 413."""
        self._fail(body_too_large(self._pages.limits.max_body_bytes))

    def client_disconnected(self) -> None:
        """Give up the request."""
        if self._connection is None:
            self._log(CLIENT_CLOSED)
        self._drop_connection()

    def sending_ended(self) -> bool:
        """The client may have left, or wait."""
        return may_wait(self._head, self._client, response_begun=self._response_begun)

    def pause_writing(self) -> None:
        """Stop reading the application's response."""
        self._slow_reader.begin(self._client.unsent_bytes(), self._pages.loop.time())
        if self._connection is not None:
            self._connection.pause_reading()
        self._set_deadline()

    def resume_writing(self) -> None:
        """Go on reading the application's response."""
        if self._connection is not None:
            self._connection.resume_reading()
        self._set_deadline()

    def on_deadline(self) -> None:
        """End the request if the client or the application is late, or send 100 Continue."""
        client, limits, now_s = self._client, self._pages.limits, self._pages.loop.time()
        if client.write_paused:
            # Only the client counts here: the application can't go on before the client has read.
            if not self._slow_reader.goes_on(client.unsent_bytes(), now_s):
                self._drop_connection()
                client.abort()
                return
        elif self._response_begun:
            return  # a response may stream for as long as the application likes
        elif now_s >= self._client_due_s:
            late_s = limits.client_timeout_s
            self._fail(Problem(408, f"nothing came of the body for {late_s:g} s: see --client-timeout"))
            return
        elif now_s >= self._started_s + limits.timeout_s:
            self._fail(self._too_late(limits.timeout_s))
            return
        elif now_s >= self._continue_at_s:
            # The application has not refused the request by its head, so it wants the body.
            self._body.expected = False
            client.send(CONTINUE)
        self._set_deadline()

    # Called by the application's connection.

    def head_came(self, head: ResponseHead) -> None:
        """Keep the head: it goes to the client with the first piece of the body, or with its end."""
        self._response = head
        if head.request_id is None:  # refused by the library, before our own code saw it
            self._pages.access_log.refused(
                request_id=self._request_id, status=_UNREADABLE.status, error=_UNREADABLE.detail
            )
            self._drop_connection()
            self._refuse(_UNREADABLE)

    def piece_came(self, piece: bytes) -> None:
        """Pass it on."""
        begin = self._begin_response()
        if self._response_chunked:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        self._client.send(begin + piece)

    def response_ended(self, *, reusable: bool) -> None:
        """End the response to the client."""
        end = self._begin_response()
        if self._response_chunked and self._head.method != b"HEAD":
            end += LAST_CHUNK
        connection = self._connection
        if reusable and connection is not None and self._body.ended and not connection.unsent_bytes():
            self._connection = None
            connection.resume_reading()
            self._pages.connections.put(connection)
        self._drop_connection()
        if end:
            self._client.send(end)
        self._client.finish(keep=self._keep)

    def broke_off(self, reason: str, *, silently: bool, took_all: bool) -> None:
        """The application is gone: with several listeners, the parent process."""
        self._fail(_AWAY)

    def full_now(self) -> None:
        """The application takes nothing of the body for now."""
        self._client.pause_reading()

    def drained(self) -> None:
        """The application takes more again."""
        self._since_s = self._pages.loop.time()
        self._client.resume_reading()

    # Called by the above.

    @property
    def _client_due_s(self) -> float:
        """When the client is late with its body; never while the body is not waited for."""
        connection = self._connection
        if self._body.ended or connection is None or connection.unsent_bytes():
            return math.inf
        return self._since_s + self._pages.limits.client_timeout_s

    def _too_late(self, limit_s: float) -> Problem:
        """Why there was no response in time: the application can't finish before the client has."""
        if self._client_due_s < math.inf:
            return Problem(408, f"the body took over {limit_s:g} s: send it in one go")
        return Problem(504, f"the page took over {limit_s:g} s: the proxy is too busy, or stopped")

    @property
    def _continue_at_s(self) -> float:
        return self._started_s + _CONTINUE_AFTER_S if self._body.expected else math.inf

    def _set_deadline(self) -> None:
        if self._client.write_paused:
            self._client.wake_at(self._pages.loop.time() + _LOOK_EVERY_S)
        elif not self._response_begun:
            due_s = self._started_s + self._pages.limits.timeout_s
            self._client.wake_at(min(due_s, self._client_due_s, self._continue_at_s))

    async def _connect(self) -> None:
        try:
            connection = await self._pages.connections.connect(self._pages.path)
        except (OSError, TimeoutError):
            self._connecting = None
            self._log(_AWAY.status)
            self._fail(_AWAY)
            return
        self._connecting = None
        self._begin(connection)

    def _begin(self, connection: WorkerConnection) -> None:
        self._connection = connection
        connection.begin(self, self._beginning(), bodiless=self._head.method == b"HEAD")
        if self._client.write_paused:
            connection.pause_reading()
        if not self._body.ended:
            self._client.resume_reading()
        self._set_deadline()

    def _beginning(self) -> bytes:
        """The head for the application, and what has come of the body."""
        local = self._client.local
        parts = [page_request_head(self._head, str(local or ""), self._client.peer, self._request_id)]
        parts += self._body.waiting
        self._body.waiting.clear()
        if self._body.ended and self._head.chunked:
            parts.append(LAST_CHUNK)
        return b"".join(parts)

    def _begin_response(self) -> bytes:
        """Return the head for the client; empty if it was sent already."""
        head, asked = self._response, self._head
        if self._response_begun or head is None:
            return b""
        self._response_begun = True
        endless = head.length_bytes is None
        self._response_chunked = endless and not asked.http_1_0
        self._keep = self._may_keep and not (endless and asked.http_1_0)
        return page_response_head(
            head,
            request_id=self._request_id,
            connection=connection_lines(asked, keep=self._keep),
            chunked=self._response_chunked,
        )

    @property
    def _may_keep(self) -> bool:
        """Whether the connection may go on. A client that was not told to send its body won't send it."""
        body_known = self._body.ended or not self._body.expected
        return self._head.keep_alive and self._client.may_keep_alive and body_known

    def _fail(self, problem: Problem) -> None:
        """Answer with `problem`; if the response has begun, reset the connection."""
        self._drop_connection()
        if self._response_begun:
            self._client.abort()
        else:
            self._refuse(problem)

    def _refuse(self, problem: Problem) -> None:
        keep = self._may_keep and self._body.ended and problem.status != _BAD_REQUEST
        lines = connection_lines(self._head, keep=keep) + self._pages.cors.lines(self._head.origin)
        self._client.send(problem_to(self._head, problem, self._request_id, connection=lines))
        self._client.finish(keep=keep)

    def _drop_connection(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()
        self._client.resume_reading()

    def _log(self, status: int) -> None:
        """Log a request that the application never saw."""
        self._pages.access_log.answered(
            request_id=self._request_id,
            method=self._head.method.decode("ascii"),
            path=self._head.path,
            route=_UNKNOWN,
            status=status,
            seconds=self._pages.loop.time() - self._started_s,
            worker=None,
        )


class _PageBody:
    """What has come of a request's body. `waiting` waits for the connection to the application.

    `expected` is whether the client waits for `100 Continue` before it sends its body.
    """

    __slots__ = ("_chunked", "ended", "expected", "received_bytes", "waiting")

    def __init__(self, head: RequestHead) -> None:
        self._chunked = head.chunked
        self.ended = False
        self.expected = head.expect is not None
        self.received_bytes = 0
        self.waiting: list[bytes] = []

    def add(self, piece: bytes) -> bytes:
        """The next piece as it goes to the application."""
        self.expected = False  # a client need not wait for longer than it likes
        self.received_bytes += len(piece)
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece
