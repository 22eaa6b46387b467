"""What the proxy tells Prometheus of its own process.

What the proxy counts, for Prometheus.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from prometheus_client import PROCESS_COLLECTOR, CollectorRegistry, Counter, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tfleet.proxy.balancing.pool import WorkerState
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.telemetry.request_stats import RequestStats


class ProcessMetrics(Collector):
    """Memory, CPU and descriptors under their customary names, and the tasks of the event loop.

    It reads /proc, so it is to be asked from another thread than the loop's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def collect(self) -> Iterator[Metric]:
        yield from PROCESS_COLLECTOR.collect()
        yield GaugeMetricFamily(
            "tfleet_proxy_tasks", "Tasks of the event loop", len(asyncio.all_tasks(self._loop))
        )


def exposition(families: Iterable[Metric]) -> bytes:
    """Version 0.0.4 of Prometheus' text format."""
    return generate_latest(_Families(families))


class ProxyMetrics:
    """One set of counters; it has a registry of its own, so that two proxies can live in one process."""

    def __init__(self, fleet: WorkerTable) -> None:
        self._registry = CollectorRegistry()
        self.tally = RequestStats()
        self.failed_tries = Counter(
            "tfleet_proxy_failed_tries",
            "RetryState of a worker that gave nothing to pass on",
            ["reason"],
            registry=self._registry,
        )
        self.broken_answers = Counter(
            "tfleet_proxy_broken_answers",
            "Answers that a worker broke off after their beginning had gone to the client",
            registry=self._registry,
        )
        self.poison_bodies = Counter(
            "tfleet_proxy_poison_bodies",
            "Requests that were given up because workers failed on their body",
            registry=self._registry,
        )
        self._registry.register(self.tally)
        self._registry.register(_Workers(fleet))

    def include(self, collector: Collector) -> None:
        """Show what somebody else counts, too."""
        self._registry.register(collector)

    def families(self) -> tuple[Metric, ...]:
        """All figures as they are now. Values: they may go to another thread or process."""
        return tuple(self._registry.collect())


class _Families(Collector):
    """Figures that were collected before."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


class _Workers(Collector):
    """Reads the pool when it is asked, so that there is nothing to keep up to date."""

    def __init__(self, fleet: WorkerTable) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        workers = GaugeMetricFamily("tfleet_proxy_workers", "Workers by state", labels=["state"])
        members = self._fleet.pool.members.values()
        for state in WorkerState:
            workers.add_metric([state], sum(member.state is state for member in members))
        yield workers
        in_flight = GaugeMetricFamily("tfleet_proxy_in_flight", "Requests open with workers")
        in_flight.add_metric([], sum(self._fleet.in_flight(member.id) for member in members))
        yield in_flight
