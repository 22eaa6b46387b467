"""The Prometheus metrics of a worker's registration."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tfleet.discovery.errors import Loss
from tfleet.discovery.registration.heartbeat import Registration


class RegistrationMetrics(Collector):
    """Reads the registration at each scrape."""

    def __init__(self, registration: Registration) -> None:
        self._registration = registration

    def collect(self) -> Iterator[Metric]:
        registration, contact = self._registration, self._registration.contact
        yield GaugeMetricFamily(
            "tfleet_registry_registered",
            "1 while the registry has this worker, as far as the worker knows",
            int(registration.registered),
        )
        yield GaugeMetricFamily(
            "tfleet_registry_last_sync_seconds",
            "Seconds since the registry last took a heartbeat and listed this worker as it should",
            contact.age_s,
        )
        yield CounterMetricFamily(
            "tfleet_registry_failures",
            "Failed calls to the registry",
            contact.failures,
        )
        again = CounterMetricFamily(
            "tfleet_registry_reregistrations",
            "Times that this worker had to register again, by reason",
            labels=["reason"],
        )
        for loss in Loss:
            again.add_metric([loss], registration.losses[loss])
        yield again
        yield CounterMetricFamily(
            "tfleet_registry_removed_stale_entries",
            "Stale registrations at this worker's address that it removed",
            registration.removed_stale,
        )
