"""Prometheus metrics of the registry and of the proxy's own registration."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tfleet.discovery.watch import QueryResult, Watch
from tfleet.proxy.balancing.member import WorkerState
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.registration import ProxyRegistration


class ProxyRegistrationMetrics(Collector):
    """Whether the proxy is registered."""

    def __init__(self, registration: ProxyRegistration) -> None:
        self._registration = registration

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "tfleet_registry_registered",
            "1 while the registry has this proxy, as far as the proxy knows",
            int(self._registration.registered),
        )


class RegistryMetrics(Collector):
    """How the watch of the registry fares, read when Prometheus asks."""

    def __init__(self, watch: Watch, workers: WorkerTable) -> None:
        self._watch = watch
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        contact = self._watch.contact
        yield GaugeMetricFamily(
            "tfleet_registry_last_sync_seconds",
            "Seconds since the registry last answered; without news it does so every 30",
            contact.age_s,
        )
        yield CounterMetricFamily(
            "tfleet_registry_failures",
            "Queries that the registry did not answer as it should",
            contact.failures,
        )
        answers = CounterMetricFamily(
            "tfleet_registry_answers",
            "Answers of the registry: a changed list, the same list, or an empty one after one that was not",
            labels=["result"],
        )
        for result in QueryResult:
            answers.add_metric([result], self._watch.results[result])
        yield answers
        yield CounterMetricFamily(
            "tfleet_registry_index_resets",
            "Times that the registry's index fell, after which the watch began anew",
            self._watch.index_resets,
        )
        members = self._workers.pool.members.values()
        yield GaugeMetricFamily(
            "tfleet_registry_unlisted_workers",
            "Workers kept in use because they are ready, though the registry does not list them",
            sum(not member.entry.listed and member.state is WorkerState.READY for member in members),
        )
