"""The proxy's metrics for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from prometheus_client import PROCESS_COLLECTOR, CollectorRegistry, Counter, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tfleet.proxy.telemetry.request_stats import RequestStats
from tfleet.proxy.telemetry.version_stats import VersionStats


class ProcessMetrics(Collector):
    """Memory, CPU and open files of the process under their usual names, and the event loop's tasks.

    It reads /proc, so collect it in a thread other than the event loop's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def collect(self) -> Iterator[Metric]:
        yield from PROCESS_COLLECTOR.collect()
        yield GaugeMetricFamily(
            "tfleet_proxy_tasks", "Tasks of the event loop", len(asyncio.all_tasks(self._loop))
        )


def exposition(families: Iterable[Metric]) -> bytes:
    """Format metrics in Prometheus' text format 0.0.4."""
    return generate_latest(_Families(families))


class ProxyMetrics:
    """The counters of one proxy, in a registry of their own: a process may have several proxies."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.stats = RequestStats()
        self.versions = VersionStats()
        self.failed_tries = Counter(
            "tfleet_proxy_failed_tries",
            "Attempts on a worker that gave nothing to pass on to the client",
            ["reason"],
            registry=self._registry,
        )
        self.broken_answers = Counter(
            "tfleet_proxy_broken_answers",
            "Responses that a worker broke off after the client had received the beginning",
            registry=self._registry,
        )
        self.poison_bodies = Counter(
            "tfleet_proxy_poison_bodies",
            "Requests given up because several workers failed on their body",
            registry=self._registry,
        )
        self._registry.register(self.stats)
        self._registry.register(self.versions)

    def include(self, collector: Collector) -> None:
        """Add a collector of another module."""
        self._registry.register(collector)

    def families(self) -> tuple[Metric, ...]:
        """Return all current metrics as values, which may go to another thread or process."""
        return tuple(self._registry.collect())


class _Families(Collector):
    """Metrics that were collected earlier."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
