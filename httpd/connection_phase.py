"""What a connection of a client is doing."""

from __future__ import annotations

from enum import Enum, auto


class Phase(Enum):
    """What a connection is doing."""

    NEW = auto()
    """Nothing was asked on it yet."""
    IDLE = auto()
    """Between two requests; the rest of the last one's body may still be coming."""
    ANSWERING = auto()
    CLOSING = auto()
    """Nothing that comes is read as a request any more."""


# Python 3.11 looks a member up with a call, which every piece of a body would pay for.
NEW, IDLE, ANSWERING, CLOSING = Phase
