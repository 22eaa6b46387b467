"""Idle connections to workers, kept for later requests."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Final, TypeAlias

from tfleet.contract.address import Address
from tfleet.proxy.upstream.connection import WorkerConnection

# Enough for two lost SYNs, which are resent after 1 and 3 s, and for a proxy on a busy machine: with 1 s it
# ejected healthy workers. A silent worker is probed long before.
_CONNECT_TIMEOUT_S: Final = 5.0

Upstream: TypeAlias = Address | Path
"""Where a request goes on to: a worker, or a unix socket on this machine."""


class WorkerConnections:
    """Makes connections, and keeps those that lie idle for `keep_alive_s`. There may be any number of them.

    A context manager: at its end all are closed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, keep_alive_s: float) -> None:
        self._loop = loop
        self._keep_alive_s = keep_alive_s
        self._idle: dict[Upstream, list[WorkerConnection]] = {}
        self._all: dict[WorkerConnection, Upstream] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<WorkerConnections {sum(map(len, self._idle.values()))} idle of {len(self._all)}>"

    def __enter__(self) -> WorkerConnections:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._all):
            connection.drop()

    def take(self, address: Upstream) -> WorkerConnection | None:
        """Return the idle connection that was used last, unless it has been idle for too long; otherwise
        None.
        """
        idle = self._idle.get(address)
        # The last one was used most recently: if it has been idle for too long, so have all others.
        if not idle or idle[-1].idle_since_s < self._loop.time() - self._keep_alive_s:
            return None
        return idle.pop()

    async def connect(self, address: Upstream) -> WorkerConnection:
        """Make a new connection. Raises OSError, TimeoutError, and UnicodeError for an invalid host name."""
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            if isinstance(address, Path):
                _, connection = await self._loop.create_unix_connection(
                    lambda: WorkerConnection(self._lost), str(address)
                )
            else:
                _, connection = await self._loop.create_connection(
                    lambda: WorkerConnection(self._lost), address.host, address.port
                )
        # The worker may have closed it in the same iteration of the event loop.
        if connection.ended:
            raise ConnectionResetError("it ended the connection at once")
        self._all[connection] = address
        return connection

    def put(self, connection: WorkerConnection) -> None:
        """Keep the connection for a later request."""
        address = self._all.get(connection)
        if address is None:
            return  # it has ended in the meantime
        connection.idle_since_s = self._loop.time()
        self._idle.setdefault(address, []).append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._keep_alive_s / 2, self._end_the_unused)

    def _lost(self, connection: WorkerConnection) -> None:
        address = self._all.pop(connection, None)
        idle = self._idle.get(address) if address is not None else None
        if idle is not None and connection in idle:
            idle.remove(connection)

    def _end_the_unused(self) -> None:
        self._sweep = None
        since_s = self._loop.time() - self._keep_alive_s
        for address, idle in list(self._idle.items()):
            for connection in [one for one in idle if one.idle_since_s < since_s]:
                idle.remove(connection)
                connection.drop()
            if not idle:
                del self._idle[address]
        if self._idle:
            self._sweep = self._loop.call_later(self._keep_alive_s / 2, self._end_the_unused)
