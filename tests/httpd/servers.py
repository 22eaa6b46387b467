"""The servers that the suite in this folder runs against: what one of them refuses or bears, all do.

A server is a factory: it takes what it is to allow its clients, and gives a running server.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import flask

from tests.support.fake_worker import fake_worker, settings
from tfleet.contract.address import Address
from tfleet.contract.cors import CORS_OFF
from tfleet.contract.problem import Problem
from tfleet.contract.request_id import request_id
from tfleet.httpd.admission import ConnectionLimits
from tfleet.httpd.half_closed import may_wait
from tfleet.httpd.http1.local_response import (
    CONTINUE,
    closing_problem,
    connection_lines,
    local_head,
    local_problem,
    local_response,
)
from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.interfaces import Client, OpenRequest
from tfleet.httpd.listen import listening_sockets, resolve
from tfleet.httpd.server import Server
from tfleet.httpd.timers import BODY_BYTES_PER_S, SlowSenderWatch
from tfleet.proxy.server import single_process_proxy
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.server import WsgiServer

LIMITS: Final = ConnectionLimits(1000, header_timeout_s=10.0, idle_timeout_s=30.0)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a server allows its clients."""

    limits: ConnectionLimits = LIMITS
    max_body_bytes: int = 32 * 1024 * 1024
    body_timeout_s: float = 10.0
    """For how long nothing may come of a body, and for how long one may drip."""


@dataclass(slots=True)
class RunningServer:
    """A server that answers 200 to POST / and GET /."""

    address: Address
    bodies: Callable[[], list[bytes]]
    """Of the POST requests that were served so far."""


ServerFactory: TypeAlias = Callable[[ServerOptions], AbstractAsyncContextManager[RunningServer]]


class Refusals:
    """Answers what is no request."""

    def malformed(self, problem: Problem, path: str) -> bytes:
        return closing_problem(problem, request_id(None), CORS_OFF, path)

    def too_many_connections(self) -> bytes:
        problem = Problem(503, "there are --max-connections connections", retry_after_s=1)
        return closing_problem(problem, request_id(None), CORS_OFF)


class Echo:
    """Answers a request with its body."""

    def __init__(self, head: RequestHead, client: Client, bodies: list[bytes], timeout_s: float) -> None:
        self._head = head
        self._client = client
        self._bodies = bodies
        self._body = b""
        self._started = self._whole = False
        self._now_s = asyncio.get_running_loop().time
        self._watch = SlowSenderWatch(timeout_s, BODY_BYTES_PER_S, self._now_s())

    def start(self) -> None:
        self._started = True
        if self._whole:
            self._answer()
            return
        if self._head.expect is not None:
            self._client.send(CONTINUE)
        self._client.wake_at(self._watch.due_s)

    def body_received(self, piece: bytes) -> None:
        self._body += piece
        self._watch.received(len(piece), self._now_s())
        self._client.wake_at(self._watch.due_s)

    def body_ended(self) -> None:
        self._whole = True
        if self._started:
            self._answer()

    def body_failed(self, reason: str) -> None:
        self._refuse(Problem(400, f"the body can't be read: {reason}"))

    def body_too_large(self) -> None:
        self._refuse(Problem(413, "the body is too large"))

    def client_disconnected(self) -> None:
        """Nothing is held for it."""

    def sending_ended(self) -> bool:
        return may_wait(self._head, self._client, response_begun=False)

    def pause_writing(self) -> None:
        """There is only one piece."""

    def resume_writing(self) -> None:
        """There is only one piece."""

    def on_deadline(self) -> None:
        self._refuse(Problem(408, "the body took too long"))

    def _answer(self) -> None:
        if self._head.method == b"POST":
            self._bodies.append(self._body)
        keep = self._head.keep_alive and self._client.may_keep_alive
        head = local_head(200, {"Content-Type": "application/octet-stream"}, len(self._body))
        lines = connection_lines(self._head, keep=keep)
        self._client.send(
            local_response(head, self._body, request_id(None), connection=lines, method=self._head.method)
        )
        self._client.finish(keep=keep)

    def _refuse(self, problem: Problem) -> None:
        lines = connection_lines(self._head, keep=False)
        self._client.send(
            local_problem(problem, request_id(None), connection=lines, method=self._head.method)
        )
        self._client.finish(keep=False)


@contextlib.asynccontextmanager
async def bare_server(options: ServerOptions) -> AsyncIterator[RunningServer]:
    """The package by itself, with a handler that answers each request with its body."""
    bodies: list[bytes] = []

    def handle(head: RequestHead, client: Client) -> OpenRequest:
        return Echo(head, client, bodies, options.body_timeout_s)

    limits = replace(options.limits, max_body_bytes=options.max_body_bytes)
    server = Server(handle, Refusals(), limits, asyncio.get_running_loop())
    address = server.listen(listening_sockets(await resolve(Address("127.0.0.1", 0))))
    try:
        yield RunningServer(address, bodies.copy)
    finally:
        await server.close(5.0)


@contextlib.asynccontextmanager
async def proxy(options: ServerOptions) -> AsyncIterator[RunningServer]:
    """The proxy in front of a worker that takes everything."""
    async with fake_worker() as worker:
        limits = settings(
            worker,
            client_limits=options.limits,
            max_body_bytes=options.max_body_bytes,
            client_timeout_s=options.body_timeout_s,
            timeout_s=options.body_timeout_s,
        )
        async with single_process_proxy(limits) as address:
            yield RunningServer(address, lambda: [seen.body for seen in worker.seen])


@contextlib.asynccontextmanager
async def worker(options: ServerOptions) -> AsyncIterator[RunningServer]:
    """The worker's server, with a Flask application that answers an image with its bytes."""
    bodies: list[bytes] = []
    app = flask.Flask(__name__, static_folder=None)

    @app.post("/")
    @app.post("/predict")
    def echo() -> bytes:
        bodies.append(flask.request.get_data())
        return bodies[-1]

    @app.get("/")
    @app.get("/healthz")
    def ok() -> str:
        return "ok"

    def start() -> WsgiServer:
        server = WsgiServer(
            host="127.0.0.1",
            port=0,
            threads=8,
            body_limits=BodyLimits(options.max_body_bytes, options.body_timeout_s, BODY_BYTES_PER_S),
            connection_limits=options.limits,
        )
        server.start(app)
        return server

    server = await asyncio.to_thread(start)
    try:
        yield RunningServer(server.address, bodies.copy)
    finally:
        await asyncio.to_thread(server.close, 5.0)


SERVERS: Final[dict[str, ServerFactory]] = {"httpd": bare_server, "proxy": proxy, "worker": worker}
