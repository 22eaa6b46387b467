"""Stops a server without losing a request that has reached this machine."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Set
from typing import Final

from tfleet.httpd.connection import Connection
from tfleet.httpd.linger import DRAINING_S

_FIRST_REQUEST_S: Final = 1.0
"""How long a client that has just connected may take to begin its request."""

_LOOK_S: Final = 0.02


async def last_responses(connections: Set[Connection], timeout_s: float, *, keep_idle: bool = False) -> None:
    """Wait until each connection has sent its last response and has closed. Idle ones are closed; with
    `keep_idle`, only once nothing is under way on any other.

    The caller makes sure that every response says `Connection: close` from now on.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    lingering = {one for one in connections if one.closing}
    while connections and loop.time() - began_s < timeout_s:
        if loop.time() - began_s > DRAINING_S:
            _end_lingering(lingering & connections)
        newcomers_may_wait = loop.time() - began_s < _FIRST_REQUEST_S
        under_way = {
            connection
            for connection in connections
            if connection.busy or (connection.silent and newcomers_may_wait)
        }
        if not (keep_idle and under_way):
            idle = [one for one in connections if not one.closing and one not in under_way]
            for connection in _without_unread_bytes(idle):
                connection.end()
        await asyncio.sleep(_LOOK_S)


def _end_lingering(connections: Set[Connection]) -> None:
    """End those that have lingered since before the shutdown. Their clients have had their responses."""
    for connection in connections:
        if not connection.unsent_bytes():
            connection.end()


async def end_all(connections: Set[Connection]) -> None:
    """Close all that are left, and return when the event loop has dropped them."""
    while connections:
        for connection in list(connections):
            connection.end()
        await asyncio.sleep(0)


def _without_unread_bytes(idle: list[Connection]) -> list[Connection]:
    """Return those whose sockets have nothing to read: anything else may be a request that has just come."""
    poll = select.poll()
    found = {}
    for connection in idle:
        descriptor = connection.descriptor()
        if descriptor is not None:
            found[descriptor] = connection
            poll.register(descriptor, select.POLLIN)
    readable = {descriptor for descriptor, _ in poll.poll(0)} if found else set()
    return [connection for descriptor, connection in found.items() if descriptor not in readable]
