"""Counts the requests of canaries that other versions got, because no worker of the canary was routable."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.telemetry.version_stats import MAX_VERSIONS, OTHERS


class CanaryFallbacks(Collector):
    """Counts of one proxy since its start."""

    def __init__(self) -> None:
        self._counts: dict[ModelVersion, int] = {}

    def __repr__(self) -> str:
        return f"<CanaryFallbacks {self._counts}>"

    def count(self, canary: ModelVersion) -> None:
        """A request of this canary went to another version."""
        if canary not in self._counts and len(self._counts) >= MAX_VERSIONS:
            canary = ModelVersion(*OTHERS)
        self._counts[canary] = self._counts.get(canary, 0) + 1

    def of(self, canary: ModelVersion) -> int:
        """How many there were."""
        return self._counts.get(canary, 0)

    def collect(self) -> Iterator[Metric]:
        fallbacks = CounterMetricFamily(
            "tfleet_proxy_canary_fallbacks",
            "Requests of a canary that another version got",
            labels=["model", "version"],
        )
        for canary, count in list(self._counts.items()):
            fallbacks.add_metric([*canary], count)
        yield fallbacks
