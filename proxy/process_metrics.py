"""What the proxy tells Prometheus of its own process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from prometheus_client import PROCESS_COLLECTOR
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


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
