"""What a worker tells Prometheus of its decoders."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tfleet.worker.decoders import DecoderPool


class DecoderMetrics(Collector):
    """Reads the pool when it is asked, so that there is nothing to keep up to date."""

    def __init__(self, pool: DecoderPool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "tfleet_worker_decoders_running", "Costly images that are being decoded", self._pool.running
        )
        yield GaugeMetricFamily(
            "tfleet_worker_decoders_waiting", "Costly images that wait for a decoder", self._pool.waiting
        )
        killed = CounterMetricFamily(
            "tfleet_worker_decoders_killed",
            "Decoders that ended before their time, by reason",
            labels=["reason"],
        )
        for reason, times in self._pool.killed.items():
            killed.add_metric([reason], times)
        yield killed
