"""Metrics of the jobs that a worker takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class JobResult(StrEnum):
    """What became of a job that this worker took."""

    ANSWERED = "answered"
    NOT_NEEDED = "not-needed"
    """It was cancelled, or another worker had answered it."""
    QUEUED_AGAIN = "queued-again"
    LOST = "lost"
    """Redis gave it to another worker, or it was cancelled, while it was computed."""


@dataclass(slots=True)
class ShardCounts:
    """The jobs of one Redis. One thread counts, any may read."""

    redis: str
    up: bool = False
    running: int = 0
    alone: int = 0
    results: Counter[JobResult] = field(default_factory=Counter)


class JobMetrics(Collector):
    """Exposes the counts of all shards."""

    def __init__(self, shards: Sequence[str]) -> None:
        self.shards: Final = tuple(map(ShardCounts, shards))

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("tfleet_worker_job_redis_up", "1 while this Redis answers", labels=["redis"])
        for one in self.shards:
            up.add_metric([one.redis], one.up)
        yield up
        running = sum(one.running for one in self.shards)
        yield GaugeMetricFamily("tfleet_worker_jobs_running", "Jobs that are computed now", running)
        jobs = CounterMetricFamily(
            "tfleet_worker_jobs", "Jobs taken, by what became of them", labels=["result"]
        )
        for result in JobResult:
            jobs.add_metric([result.value], sum(one.results[result] for one in self.shards))
        yield jobs
        alone = sum(one.alone for one in self.shards)
        yield CounterMetricFamily("tfleet_worker_jobs_alone", "Jobs of other workers that ran alone", alone)
