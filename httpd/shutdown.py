"""How the proxy stops without losing a request that has come as far as this machine."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from tfleet.httpd.connection import ClientConnection

_NEWCOMER_S: Final = 0.5
"""How long a client that has just connected has to begin its request."""

_LOOK_S: Final = 0.02


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
