"""The limit on connections: how many are open, which are refused, and the metrics of both."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_MAX_REFUSED_AT_ONCE: Final = 256
"""How many connections beyond the limit get a 503 at the same time. Others are closed without a response."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of a server's connections.

    `header_timeout_s` is for a whole head, `idle_timeout_s` for the time between two requests. With
    `idle_give_way` a connection beyond the limit takes the place of the one that has been idle longest.
    `max_body_bytes` is for what the chunks of a body announce; the handler refuses any other body over it.
    """

    max_connections: int
    header_timeout_s: float = 10.0
    idle_timeout_s: float = 75.0
    idle_give_way: bool = False
    header_hint: str = ""
    """Appended to the text of a 408: how to change the limit."""
    max_body_bytes: int = sys.maxsize


class AdmissionVerdict(Enum):
    """What happens to a new connection."""

    ADMITTED = auto()
    REFUSED = auto()
    """It gets a 503 and is closed."""
    DROPPED = auto()
    """It is closed at once."""


class Admission:
    """Counts connections up to the limit."""

    def __init__(self, most: int) -> None:
        self.admitted = 0
        """Connections that are open now."""
        self.turned_away = 0
        """Connections beyond the limit since the start."""
        self._most = most
        self._being_refused = 0

    def __repr__(self) -> str:
        return f"<Admission {self.admitted} of {self._most}, {self.turned_away} turned away>"

    @property
    def full(self) -> bool:
        """Whether the next connection is one too many."""
        return self.admitted >= self._most

    def connected(self) -> AdmissionVerdict:
        """Count a new connection. Call `disconnected` for each one, unless it is dropped."""
        if self.admitted < self._most:
            self.admitted += 1
            return AdmissionVerdict.ADMITTED
        self.turned_away += 1
        if self._being_refused < _MAX_REFUSED_AT_ONCE:
            self._being_refused += 1
            return AdmissionVerdict.REFUSED
        return AdmissionVerdict.DROPPED

    def disconnected(self, verdict: AdmissionVerdict) -> None:
        """A connection has ended."""
        if verdict is AdmissionVerdict.ADMITTED:
            self.admitted -= 1
        elif verdict is AdmissionVerdict.REFUSED:
            self._being_refused -= 1


class ConnectionMetrics(Collector):
    """Prometheus metrics of connections: a gauge of the open ones, a counter of the `refused` ones.

    The arguments are the names of the two metrics.
    """

    def __init__(self, admission: Admission, *, connections: str, refused: str) -> None:
        self._admission = admission
        self._connections = connections
        self._refused = refused

    def collect(self) -> Iterator[Metric]:
        connections = GaugeMetricFamily(self._connections, "Connections of clients")
        connections.add_metric([], self._admission.admitted)
        yield connections
        refused = CounterMetricFamily(self._refused, "Connections beyond the limit")
        refused.add_metric([], self._admission.turned_away)
        yield refused
