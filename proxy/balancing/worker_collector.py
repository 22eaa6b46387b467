"""The metrics of the worker table."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tfleet.proxy.balancing.member import WorkerState
from tfleet.proxy.balancing.worker_table import WorkerTable


class WorkerCollector(Collector):
    """The table's metrics, read when Prometheus asks: nothing has to be kept up to date."""

    def __init__(self, table: WorkerTable) -> None:
        self._table = table

    def collect(self) -> Iterator[Metric]:
        workers = GaugeMetricFamily("tfleet_proxy_workers", "Workers by state", labels=["state"])
        members = self._table.pool.members.values()
        for state in WorkerState:
            workers.add_metric([state], sum(member.state is state for member in members))
        yield workers
        in_flight = GaugeMetricFamily("tfleet_proxy_in_flight", "Requests open with workers")
        in_flight.add_metric([], sum(self._table.in_flight(member.id) for member in members))
        yield in_flight
