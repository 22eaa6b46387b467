"""Sockets that an application answers on: the clients' and that of the embedded registry."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from typing import Final

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage

from tfleet.discovery.address import Address
from tfleet.proxy.clients import ClientLimits, Clients
from tfleet.proxy.closing import last_answers, stop_listening
from tfleet.proxy.connection import ClientConnection
from tfleet.proxy.metrics import Metrics

# As many clients may knock at the same moment. The system's own limit is net.core.somaxconn.
_BACKLOG: Final = 1024
# By then all that may finish has finished: what is left is broken off.
_SHUTDOWN_S: Final = 0.1


class CannotListenError(Exception):
    """An address is taken or not this machine's. The message is one line that names the option to change."""


@contextlib.asynccontextmanager
async def registry_site(app: web.Application, address: Address) -> AsyncIterator[Address]:
    """The embedded registry on a socket."""
    # handler_cancellation: a watcher that leaves gives up its blocking query at once.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.0)
    await runner.setup()
    try:
        with _refusals(address, "--registry-port"):
            await web.TCPSite(runner, address.host, address.port).start()
        yield Address(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def client_site(
    app: web.Application,
    address: Address,
    *,
    clients: Clients,
    limits: ClientLimits,
    metrics: Metrics,
    drain_timeout_s: float,
) -> AsyncIterator[Address]:
    """The proxy on a socket; at the end it stops accepting and lets requests finish."""
    loop = asyncio.get_running_loop()
    # handler_cancellation: who has left waits for no answer, and a worker need not be kept busy for him.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    server = runner.server
    assert server is not None
    make_request = server.request_factory

    def begin(
        message: RawRequestMessage,
        payload: StreamReader,
        connection: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        request = make_request(message, payload, connection, writer, task)
        assert isinstance(connection, ClientConnection)
        connection.begins(request)
        return request

    def connect() -> ClientConnection:
        return ClientConnection(server, loop=loop, clients=clients, limits=limits, metrics=metrics)

    server.request_factory = begin
    try:
        with _refusals(address, "--port"):
            listening = await loop.create_server(connect, address.host, address.port, backlog=_BACKLOG)
        try:
            yield Address(*listening.sockets[0].getsockname()[:2])
        finally:
            await stop_listening(listening, connect)
            await last_answers(server, drain_timeout_s)
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def _refusals(address: Address, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # In the system's words: asyncio puts the address before them. A look-up that failed has no errno.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise CannotListenError(f"can't listen on {address}: {reason}; see {option}") from error
