"""Requests for the proxy's own pages: forwarded to the application that answers them (app.py).

The application is a plain aiohttp one that listens on a unix socket. To a client's connection a page is a
request like any other: the body is streamed with back-pressure in both directions, and

- what can't be met by its head alone is refused here (417, 413);
- a body of which nothing comes for `--client-timeout` ends with 408, and what gives no response within
  `--timeout` with 504; a response may take as long as it likes, if the client takes it;
- a client that leaves ends the connection to the application, which gives up the request.

The application writes the log line. Without an X-Request-Id a response isn't from it, but from the library
that reads its requests, and is replaced by a problem document.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from tfleet.contract.cors import Cors
from tfleet.contract.problem import Problem
from tfleet.contract.request_id import request_id
from tfleet.httpd.http1.local_response import CONTINUE, LAST_CHUNK, connection_lines, local_problem
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.http1.response import ResponseHead
from tfleet.httpd.interfaces import Client
from tfleet.httpd.timers import SlowReaderWatch
from tfleet.proxy.forwarding.heads import page_request_head, page_response_head
from tfleet.proxy.problems import body_too_large
from tfleet.proxy.settings import RequestLimits
from tfleet.proxy.telemetry.access_log import AccessLog
from tfleet.proxy.upstream.connection import WorkerConnection
from tfleet.proxy.upstream.connection_pool import WorkerConnections

_ROUTE: Final = "page"
# By then all that may finish has finished: what is left is broken off.
_SHUTDOWN_S: Final = 0.1
_BAD_REQUEST: Final = 400
_UNREADABLE: Final = "this is no HTTP request: its method or its target can't be read"
_FAILED: Final = "the proxy failed; its log has the reason under this request id"


@dataclass(frozen=True, slots=True)
class PageContext:
    """The way to the application, and what may be taken of it."""

    socket: Path
    connections: WorkerConnections
    limits: RequestLimits
    log: AccessLog
    cors: Cors
    loop: asyncio.AbstractEventLoop


@contextlib.asynccontextmanager
async def page_socket(app: web.Application) -> AsyncIterator[Path]:
    """The application on a unix socket, in a folder that only this user may enter."""
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="tfleet-proxy-"))
    # handler_cancellation: a client that has left waits for no response.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)
    try:
        await runner.setup()
        socket = folder / "pages"
        await web.UnixSite(runner, socket).start()
        yield socket
    finally:
        await runner.cleanup()
        await asyncio.to_thread(shutil.rmtree, folder)


class PageHandler:
    """Forwards requests to the application."""

    def __init__(self, context: PageContext) -> None:
        self._context = context

    def __call__(self, head: RequestHead, client: Client) -> PageRequest:
        return PageRequest(head, client, self._context)


class _Body:
    """What has come of a request's body."""

    __slots__ = ("ended", "last_s", "received_bytes", "waiting")

    def __init__(self) -> None:
        self.ended = False
        self.received_bytes = 0
        self.last_s = 0.0
        """When something came last, on the loop's clock."""
        self.waiting: list[bytes] = []
        """What came before there was a connection to the application."""


class _Response:
    """What the application answers, and how it goes on to the client."""

    __slots__ = ("begun", "chunked", "head", "keep")

    def __init__(self, head: ResponseHead, asked: RequestHead, *, may_keep_alive: bool) -> None:
        endless = head.length_bytes is None
        self.head = head
        self.begun = False
        """Whether the client has got its head."""
        self.chunked = endless and not asked.http_1_0
        self.keep = asked.keep_alive and may_keep_alive and not (endless and asked.http_1_0)


class PageRequest:
    """One request for a page, and its response: an OpenRequest to the client, a ResponseSink to the page."""

    __slots__ = (
        "_began_s",
        "_body",
        "_client",
        "_connecting",
        "_connection",
        "_context",
        "_deadline_s",
        "_head",
        "_request_id",
        "_response",
        "_retry",
        "_slow_reader",
    )

    def __init__(self, head: RequestHead, client: Client, context: PageContext) -> None:
        self._head = head
        self._client = client
        self._context = context
        self._request_id = request_id(head.request_id)
        self._began_s = time.perf_counter()
        self._deadline_s = math.inf
        self._body = _Body()
        self._response: _Response | None = None
        self._connection: WorkerConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._retry = False
        """Whether the connection is a kept one, which may have ended in the meantime."""
        self._slow_reader = SlowReaderWatch(context.limits.client_timeout_s)

    def __repr__(self) -> str:
        return f"<PageRequest {self._request_id}>"

    # What comes from the client.

    def start(self) -> None:
        if refused := self._refusal():
            self._refuse(refused)
            return
        if self._head.expect is not None:
            self._client.send(CONTINUE)
        now_s = self._context.loop.time()
        self._deadline_s = now_s + self._context.limits.timeout_s
        self._body.last_s = now_s
        connection = self._context.connections.take(self._context.socket)
        if connection is None:
            self._connect_anew()
        else:
            self._retry = True
            self._begin(connection)
        self._client.wake_at(self._due_s)

    def body_received(self, piece: bytes) -> None:
        body, limits = self._body, self._context.limits
        body.received_bytes += len(piece)
        body.last_s = self._context.loop.time()
        if body.received_bytes > limits.max_body_bytes:
            self._stop(body_too_large(limits.max_body_bytes))
        elif self._connection is None:
            body.waiting.append(piece)
        else:
            self._connection.send(self._framed(piece))
            self._client.wake_at(self._due_s)

    def body_ended(self) -> None:
        self._body.ended = True
        if self._connection is not None and self._head.chunked:
            self._connection.send(LAST_CHUNK)

    def body_failed(self, reason: str) -> None:
        self._stop(Problem(_BAD_REQUEST, f"the body can't be read: {reason}"))

    def client_disconnected(self) -> None:
        self._drop()

    def pause_writing(self) -> None:
        if self._connection is not None:
            self._connection.pause_reading()
            now_s = self._context.loop.time()
            self._slow_reader.begin(self._client.unsent_bytes(), now_s)
            self._client.wake_at(self._due_s)

    def resume_writing(self) -> None:
        if self._connection is not None:
            self._connection.resume_reading()

    def on_deadline(self) -> None:
        limits, now_s = self._context.limits, self._context.loop.time()
        if self._response is not None and self._response.begun:
            if not self._client.write_paused:
                return  # it takes what it gets: a response may take as long as it likes
            if self._slow_reader.goes_on(self._client.unsent_bytes(), now_s):
                self._client.wake_at(self._due_s)
            else:
                self._break_off()
        elif now_s < self._due_s:
            self._client.wake_at(self._due_s)
        elif now_s < self._deadline_s:
            seconds = limits.client_timeout_s
            self._refuse(Problem(408, f"nothing came of the body for {seconds:g} s: see --client-timeout"))
        else:
            self._refuse(Problem(504, f"no answer within {limits.timeout_s:g} s; see --timeout"))

    # What comes from the application: the ResponseSink of upstream/connection.py.

    def head_came(self, head: ResponseHead) -> None:
        if head.request_id is None:
            self._refuse_for_application(head.status)
        else:
            self._response = _Response(head, self._head, may_keep_alive=self._client.may_keep_alive)

    def piece_came(self, piece: bytes) -> None:
        response = self._response
        assert response is not None
        begin = b"" if response.begun else self._begin_response(response)
        if response.chunked:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        self._client.send(begin + piece)

    def answer_ended(self, *, reusable: bool) -> None:
        response, connection = self._response, self._connection
        assert response is not None
        assert connection is not None
        end = b"" if response.begun else self._begin_response(response)
        if response.chunked and self._head.method != b"HEAD":
            end += LAST_CHUNK
        if end:
            self._client.send(end)
        if reusable and self._body.ended and not connection.unsent_bytes():
            self._connection = None
            connection.resume_reading()
            self._context.connections.put(connection)
        self._drop()
        self._client.finish(keep=response.keep)

    def broke_off(self, reason: str, *, silently: bool, took_all: bool) -> None:
        self._connection = None
        if self._response is not None and self._response.begun:
            self._break_off()
        elif silently and self._retry and self._body.received_bytes == 0:
            self._retry = False
            self._connect_anew()
        else:
            self._refuse(Problem(502, f"the proxy's own pages can't be reached: {reason}"))

    def full_now(self) -> None:
        self._client.pause_reading()

    def drained(self) -> None:
        self._client.resume_reading()

    @property
    def _due_s(self) -> float:
        """When somebody may be late."""
        limits, body = self._context.limits, self._body
        if self._response is not None and self._response.begun:
            return self._context.loop.time() + limits.client_timeout_s
        return (
            self._deadline_s if body.ended else min(self._deadline_s, body.last_s + limits.client_timeout_s)
        )

    def _refusal(self) -> Problem | None:
        expected, limits = self._head.expect, self._context.limits
        if expected is not None and expected.lower() != b"100-continue":
            told = expected[:20].decode("latin-1")
            return Problem(417, f"Expect: {told!r} is not met here, only 100-continue")
        if self._head.length_bytes > limits.max_body_bytes:
            return body_too_large(limits.max_body_bytes)
        return None

    def _connect_anew(self) -> None:
        self._client.pause_reading()  # what comes before there is a connection would have no bound
        self._connecting = self._context.loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            connection = await self._context.connections.connect(self._context.socket)
        except (OSError, TimeoutError) as error:
            self._connecting = None
            self._refuse(Problem(502, f"the proxy's own pages can't be reached: {error}"))
        else:
            self._connecting = None
            self._client.resume_reading()
            self._begin(connection)

    def _begin(self, connection: WorkerConnection) -> None:
        self._connection = connection
        local = self._client.local
        beginning = page_request_head(self._head, str(local or ""))
        beginning += b"".join(map(self._framed, self._body.waiting))
        if self._body.ended and self._head.chunked:
            beginning += LAST_CHUNK
        self._body.waiting.clear()
        connection.begin(self, beginning, bodiless=self._head.method == b"HEAD")

    def _framed(self, piece: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self._head.chunked else piece

    def _begin_response(self, response: _Response) -> bytes:
        response.begun = True
        lines = connection_lines(self._head, keep=response.keep)
        return page_response_head(response.head, connection=lines, chunked=response.chunked)

    def _refuse_for_application(self, status: int) -> None:
        """What answered is the library under the application: it can't read the request, or has failed."""
        if status == _BAD_REQUEST:
            self._refuse(Problem(_BAD_REQUEST, _UNREADABLE))
        else:
            self._refuse(Problem(500, _FAILED))

    def _stop(self, problem: Problem) -> None:
        """There won't be a response, or not the rest of it."""
        if self._response is not None and self._response.begun:
            self._break_off()
        else:
            self._refuse(problem)

    def _refuse(self, problem: Problem) -> None:
        """Answer with a problem document. Nothing of a response has gone to the client."""
        head, body = self._head, self._body
        self._drop()
        keep = (
            body.ended and problem.status != _BAD_REQUEST and head.keep_alive and self._client.may_keep_alive
        )
        lines = connection_lines(head, keep=keep) + self._context.cors.lines(head.origin)
        self._client.send(local_problem(problem, self._request_id, connection=lines))
        path = head.path
        self._context.log.answered(
            request_id=self._request_id,
            method=head.method.decode("ascii"),
            path=path,
            route=_ROUTE,
            status=problem.status,
            seconds=time.perf_counter() - self._began_s,
            worker=None,
        )
        self._client.finish(keep=keep)

    def _break_off(self) -> None:
        self._drop()
        self._client.abort()

    def _drop(self) -> None:
        """Let go of the application, and of what held the client back."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()
        self._client.resume_reading()
