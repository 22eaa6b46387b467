"""A counter by model and version."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.telemetry.version_stats import MAX_VERSIONS, OTHERS


class VersionCounter(Collector):
    """Counts of one proxy since its start. Beyond so many versions all others are counted together."""

    def __init__(self, name: str, documentation: str) -> None:
        """`name` is without `_total`."""
        self._name = name
        self._documentation = documentation
        self._counts: dict[ModelVersion, int] = {}

    def __repr__(self) -> str:
        return f"<VersionCounter {self._name} {self._counts}>"

    def count(self, version: ModelVersion) -> None:
        """Count it once more."""
        if version not in self._counts and len(self._counts) >= MAX_VERSIONS:
            version = ModelVersion(*OTHERS)
        self._counts[version] = self._counts.get(version, 0) + 1

    def of(self, version: ModelVersion) -> int:
        """How often it was counted."""
        return self._counts.get(version, 0)

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self._name, self._documentation, labels=["model", "version"])
        for version, count in list(self._counts.items()):
            family.add_metric([*version], count)
        yield family
