"""Per-request counters: plain numbers that are read when Prometheus asks.

The counters of Prometheus' library take a lock each time. These belong to one event loop and need none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class RequestStats(Collector):
    """Requests by route and status, their durations, and the bytes of bodies."""

    def __init__(self) -> None:
        self.received_bytes = 0
        """Bytes of request bodies."""
        self.sent_bytes = 0
        """Bytes of response bodies."""
        self._requests: Counter[tuple[str, int]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a response and its duration."""
        self._requests[route, status] += 1
        buckets = self._buckets.get(route)
        if buckets is None:
            buckets = self._buckets[route] = [0] * (len(BUCKETS_S) + 1)
        buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self._seconds[route] += seconds  # type: ignore[assignment] # a sum is as good as a count here

    def refused(self, route: str, status: int) -> None:
        """Count a response to an invalid request, which has no duration."""
        self._requests[route, status] += 1

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "tfleet_proxy_requests", "Requests answered", labels=["route", "status"]
        )
        for (route, status), count in list(self._requests.items()):
            requests.add_metric([route, str(status)], count)
        yield requests
        seconds = HistogramMetricFamily(
            "tfleet_proxy_request_seconds",
            "Time from a request's head to the end of its answer",
            labels=["route"],
        )
        for route, buckets in list(self._buckets.items()):
            seconds.add_metric([route], cumulative(list(buckets)), self._seconds[route])
        yield seconds
        received = "Bytes of request bodies read from clients"
        yield CounterMetricFamily("tfleet_proxy_received_bytes", received, self.received_bytes)
        sent = "Bytes of workers' answers sent to clients"
        yield CounterMetricFamily("tfleet_proxy_sent_bytes", sent, self.sent_bytes)


def cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    """The buckets of a histogram as Prometheus has them."""
    names = [*map(str, BUCKETS_S), "+Inf"]
    return [(name, sum(buckets[: number + 1])) for number, name in enumerate(names)]
