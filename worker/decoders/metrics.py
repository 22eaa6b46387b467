"""The decoders' Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tfleet.worker.decoders import DecoderPool


class DecoderMetrics(Collector):
    """Reads the pool at each scrape."""

    def __init__(self, pool: DecoderPool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "tfleet_worker_decoders_running",
            "Costly images that decoder processes are decoding",
            self._pool.running,
        )
        yield GaugeMetricFamily(
            "tfleet_worker_decoders_waiting",
            "Costly images that wait for a decoder process",
            self._pool.waiting,
        )
        killed = CounterMetricFamily(
            "tfleet_worker_decoders_killed",
            "Decoder processes that were killed or died, by reason",
            labels=["reason"],
        )
        for reason, times in self._pool.killed.items():
            killed.add_metric([reason], times)
        yield killed
