"""An HTTP/1.1 server: what listens, what is connected, and how both end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence

from tfleet.contract.address import Address
from tfleet.httpd.acceptor import Acceptor
from tfleet.httpd.admission import Admission, ConnectionLimits
from tfleet.httpd.connection import Connection
from tfleet.httpd.connection_context import ConnectionContext
from tfleet.httpd.interfaces import ErrorResponses, Handler
from tfleet.httpd.listen import listen_errors, listening_sockets, resolve
from tfleet.httpd.shutdown import end_all, last_responses


class Server:
    """Made, used and closed in the thread of its event loop. `listen` once."""

    def __init__(
        self,
        handler: Handler,
        errors: ErrorResponses,
        limits: ConnectionLimits,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.admission = Admission(limits.max_connections)
        self._context = ConnectionContext(handler, errors, limits, self.admission, loop)
        self._acceptor: Acceptor | None = None

    def __repr__(self) -> str:
        return f"<Server of {len(self._context.connections)} connections, {self.busy} busy>"

    @property
    def busy(self) -> int:
        """On how many connections a request is under way. Any thread may ask."""
        return sum(connection.busy for connection in list(self._context.connections))

    def listen(self, sockets: Sequence[socket.socket]) -> Address:
        """Accept connections from these (see `listening_sockets`); gives the address of the first one."""
        context = self._context
        self._acceptor = Acceptor(sockets, lambda: Connection(context), context.loop)
        return self._acceptor.address

    def drain(self) -> None:
        """From now on each response is the last one on its connection. New ones are still let in."""
        self._context.draining = True

    async def close(self, timeout_s: float, *, keep_idle: bool = False) -> int:
        """Stop listening and let what was begun finish. Clients that had connected before are still answered.

        With `keep_idle` that holds for idle connections, too, until nothing is under way on any other.

        Gives the number of requests that were not finished after `timeout_s` and were broken off.
        """
        self.drain()
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is not None:
            await acceptor.close()
        connections = self._context.connections
        await last_responses(connections, timeout_s, keep_idle=keep_idle)
        unfinished = self.busy
        await end_all(connections)
        return unfinished


@contextlib.asynccontextmanager
async def listening(
    server: Server, address: Address, *, option: str, drain_timeout_s: float, shared_port: bool = False
) -> AsyncIterator[Address]:
    """The server on a port, which `option` chose; at the end it stops accepting and lets requests finish.

    Processes that listen with `shared_port` may listen on the same one.
    """
    with listen_errors(address, option):
        sockets = listening_sockets(await resolve(address), shared=shared_port)
    try:
        yield server.listen(sockets)
    finally:
        await server.close(drain_timeout_s)
