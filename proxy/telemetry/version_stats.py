"""Forwarded requests by model and version: their status, and how long they took.

A request counts for the version of the worker that answered it or, where none did, of the last one tried.
What the proxy refuses before it has chosen a worker belongs to no version.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tfleet.discovery.instance import Instance
from tfleet.proxy.telemetry.request_stats import BUCKETS_S, cumulative

MAX_VERSIONS: Final = 200
"""Names come from the registry: beyond so many all others are counted together."""
OTHERS: Final = ("other", "other")

_CLIENT_CLOSED: Final = 499
_STATUSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", str(_CLIENT_CLOSED))
_LEFT: Final = len(_STATUSES) - 1
"""A client that disconnects says nothing about the version: it is told from the errors."""


class _Counts:
    __slots__ = ("buckets", "last", "seconds", "statuses")

    def __init__(self) -> None:
        self.last = 0
        """The number of the last request."""
        self.statuses = [0] * len(_STATUSES)
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.seconds = 0.0


class VersionStats(Collector):
    """Counts of one proxy since its start. They belong to one event loop, and take no lock.

    Beyond MAX_VERSIONS the version whose last request is the oldest is no longer shown.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], _Counts] = {}
        self._ended = 0

    def __repr__(self) -> str:
        return f"<VersionStats versions={len(self._counts)}>"

    def ended(self, instance: Instance, status: int, seconds: float) -> None:
        """A request has ended, which this worker was asked last."""
        counts = self._counts.get((instance.model, instance.version)) or self._new(instance)
        counts.statuses[_LEFT if status == _CLIENT_CLOSED else status // 100 - 1] += 1
        counts.buckets[bisect_left(BUCKETS_S, seconds)] += 1
        counts.seconds += seconds
        self._ended += 1
        counts.last = self._ended

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "tfleet_proxy_version_requests",
            "Requests forwarded, by model and version",
            labels=["model", "version", "status"],
        )
        seconds = HistogramMetricFamily(
            "tfleet_proxy_version_request_seconds",
            "Time from a request's head to the end of its answer, by model and version",
            labels=["model", "version"],
        )
        for version, counts in list(self._counts.items()):
            for status, count in zip(_STATUSES, counts.statuses, strict=True):
                if count:
                    requests.add_metric([*version, status], count)
            seconds.add_metric([*version], cumulative(list(counts.buckets)), counts.seconds)
        yield requests
        yield seconds

    def _new(self, instance: Instance) -> _Counts:
        if len(self._counts) >= MAX_VERSIONS:
            del self._counts[min(self._counts, key=lambda version: self._counts[version].last)]
        counts = self._counts[instance.model, instance.version] = _Counts()
        return counts
