"""The idle connections of a server that closes them when it is full."""

from __future__ import annotations

import select
from typing import Final, Protocol

_LOOKED_AT: Final = 16
"""How many connections a new one looks at, so that a full server stays cheap."""


class IdleConnection(Protocol):
    """A connection on which no request is under way."""

    @property
    def busy(self) -> bool:
        """Whether part of a request has come, or part of a response was not sent."""

    def descriptor(self) -> int | None:
        """Return the file descriptor of its socket; None once it is closed."""

    def give_way(self) -> None:
        """Close it, so that a new one gets its place."""


class IdleConnections:
    """The one that has been idle longest comes first."""

    def __init__(self) -> None:
        self._idle: dict[IdleConnection, None] = {}

    def __repr__(self) -> str:
        return f"<IdleConnections {len(self._idle)}>"

    def add(self, connection: IdleConnection) -> None:
        """It is idle from now on."""
        self._idle[connection] = None

    def discard(self, connection: IdleConnection) -> None:
        """It is not idle any more, if it was."""
        if self._idle:
            self._idle.pop(connection, None)

    def close_longest(self) -> None:
        """Close the one that has been idle longest, if any is.

        A connection whose next request is arriving is not idle. It goes to the end, so that the next call
        looks at others.
        """
        for _ in range(min(_LOOKED_AT, len(self._idle))):
            connection = next(iter(self._idle))
            del self._idle[connection]
            if connection.busy or _has_unread_bytes(connection):
                self._idle[connection] = None
            else:
                connection.give_way()
                return


def _has_unread_bytes(connection: IdleConnection) -> bool:
    """Whether its socket has something to read, which may be a request that has just come."""
    descriptor = connection.descriptor()
    if descriptor is None:
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
