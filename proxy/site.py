"""Sockets that an application answers on: the clients' and that of the embedded registry."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from typing import Final

from aiohttp import web

from tfleet.contract.address import Address
from tfleet.proxy.clients import ClientLimits, Clients
from tfleet.proxy.closing import last_answers
from tfleet.proxy.connection import ClientConnection, Takers
from tfleet.proxy.door import open_door
from tfleet.proxy.observer import Observer
from tfleet.proxy.readiness import Readiness

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
        with refusals(address, "--registry-port"):
            await web.TCPSite(runner, address.host, address.port).start()
        yield Address(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def client_site(
    app: web.Application,
    address: Address,
    *,
    takers: Takers,
    clients: Clients,
    limits: ClientLimits,
    observer: Observer,
    readiness: Readiness,
    drain_timeout_s: float,
    shared_port: bool = False,
) -> AsyncIterator[Address]:
    """The proxy on a socket; at the end it stops accepting and lets requests finish.

    Processes that listen with `shared_port` may listen on the same one.
    """
    loop = asyncio.get_running_loop()
    # handler_cancellation: who has left waits for no answer.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    server = runner.server
    assert server is not None

    def connect() -> ClientConnection:
        return ClientConnection(
            server,
            loop=loop,
            takers=takers,
            clients=clients,
            limits=limits,
            observer=observer,
            readiness=readiness,
        )

    try:
        with refusals(address, "--port"):
            door = await open_door(address, connect, shared=shared_port)
        try:
            yield door.address
        finally:
            await door.close()
            await last_answers(server, drain_timeout_s)
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def refusals(address: Address, option: str) -> Iterator[None]:
    """Raises CannotListenError for an OSError. `option` is what chose the address."""
    try:
        yield
    except OSError as error:
        # In the system's words: asyncio puts the address before them. A look-up that failed has no errno.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise CannotListenError(f"can't listen on {address}: {reason}; see {option}") from error
