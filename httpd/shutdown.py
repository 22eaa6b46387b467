"""How a server stops without losing a request that has come as far as this machine."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Set
from typing import Final

from tfleet.httpd.connection import Connection

_FIRST_REQUEST_S: Final = 1.0
"""How long a client that has just connected has to begin its request."""

_LOOK_S: Final = 0.02


async def last_responses(connections: Set[Connection], timeout_s: float) -> None:
    """Wait until each of them has had its last response and has ended. Those that lie idle are closed.

    They are to say `Connection: close` from now on.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while connections and loop.time() - began_s < timeout_s:
        newcomers_may_wait = loop.time() - began_s < _FIRST_REQUEST_S
        idle = [
            connection
            for connection in connections
            if not (connection.busy or connection.closing or (connection.silent and newcomers_may_wait))
        ]
        for connection in _without_news(idle):
            connection.end()
        await asyncio.sleep(_LOOK_S)


async def end_all(connections: Set[Connection]) -> None:
    """End those that are left, and return when the loop has let go of them."""
    while connections:
        for connection in list(connections):
            connection.end()
        await asyncio.sleep(0)


def _without_news(idle: list[Connection]) -> list[Connection]:
    """Those of which the system holds no bytes that were not read yet: a request may just have come."""
    news = select.poll()
    found = {}
    for connection in idle:
        descriptor = connection.descriptor()
        if descriptor is not None:
            found[descriptor] = connection
            news.register(descriptor, select.POLLIN)
    readable = {descriptor for descriptor, _ in news.poll(0)} if found else set()
    return [connection for descriptor, connection in found.items() if descriptor not in readable]
