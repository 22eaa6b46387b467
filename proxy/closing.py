"""How the proxy stops without losing a request that has come as far as this machine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final

from aiohttp import web

from tfleet.proxy.connection import ClientConnection

_NEWCOMER_S: Final = 0.5
"""How long a client that has just connected has to begin its request."""

_LOOK_S: Final = 0.02


async def stop_listening(listening: asyncio.Server, connect: Callable[[], ClientConnection]) -> None:
    """Stop accepting. Whoever has knocked before is let in: closed on, it would be reset with its request."""
    loop = asyncio.get_running_loop()
    doors = [door.dup() for door in listening.sockets]  # a door is closed with its last descriptor
    for door in listening.sockets:
        loop.remove_reader(door.fileno())
    await asyncio.sleep(0)  # asyncio drops what it has accepted and not yet begun when the server is closed
    listening.close()
    knocked: list[socket.socket] = []
    for door in doors:
        with door, contextlib.suppress(BlockingIOError):
            door.setblocking(False)
            while True:
                knocked.append(door.accept()[0])
    for client in knocked:
        client.setblocking(False)
        await loop.connect_accepted_socket(connect, client)


async def last_answers(server: web.Server, timeout_s: float) -> None:
    """Wait until each connection has had its last answer. Those that lie idle are closed.

    aiohttp's own way, at cleanup, would throw away what still comes of a body that is under way.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while server.connections and loop.time() - began_s < timeout_s:
        for connection in server.connections:
            assert isinstance(connection, ClientConnection)
            connection.end_if_idle(newcomers=loop.time() - began_s > _NEWCOMER_S)
        await asyncio.sleep(_LOOK_S)
