"""How many clients may be connected, and for how long one may take to say what it wants."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from tfleet.contract.cors import CORS_OFF, Cors

_MOST_REFUSED_AT_ONCE: Final = 256
"""How many connections beyond the limit are told so at the same time. Others are closed without a word."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What a client may take of the proxy.

    `header_timeout_s` is for a whole head, `idle_timeout_s` for the time between two requests. `cors` is for
    clients that are web pages.
    """

    max_connections: int
    header_timeout_s: float
    idle_timeout_s: float
    cors: Cors = CORS_OFF


class Admission(Enum):
    """What becomes of a new connection."""

    SERVED = auto()
    TOLD_OFF = auto()
    CLOSED = auto()


class Clients:
    """Counts connections up to the limit."""

    def __init__(self, most: int) -> None:
        self.served = 0
        self.refused = 0
        """Connections that were one too many, told so or not, since the start."""
        self._most = most
        self._being_told = 0

    def __repr__(self) -> str:
        return f"<Clients {self.served} of {self._most}, {self.refused} refused>"

    def come(self) -> Admission:
        """Take in a connection. Each one that is not CLOSED has to `go`."""
        if self.served < self._most:
            self.served += 1
            return Admission.SERVED
        self.refused += 1
        if self._being_told < _MOST_REFUSED_AT_ONCE:
            self._being_told += 1
            return Admission.TOLD_OFF
        return Admission.CLOSED

    def go(self, admission: Admission) -> None:
        """Take the news that a connection has ended."""
        if admission is Admission.SERVED:
            self.served -= 1
        elif admission is Admission.TOLD_OFF:
            self._being_told -= 1
