"""The worker's metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from tfleet.worker.rejection import Rejection

_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Milliseconds of one prediction: decoding, waiting for a thread and for the session, and inference.

    `batch` is the number of requests that ran together, `rows` the number of rows of this one.
    """

    decode_ms: float
    queue_ms: float
    infer_ms: float
    batch: int
    rows: int = 1

    def header(self) -> str:
        """The value of the header Server-Timing: https://www.w3.org/TR/server-timing/."""
        stages = (("decode", self.decode_ms), ("queue", self.queue_ms), ("infer", self.infer_ms))
        return ", ".join(f"{name};dur={ms:.1f}" for name, ms in stages)


class PredictionTotals:
    """Sums over all predictions. `runs` has the share of each request in its run; `last_s` is when the last
    one was computed, in seconds since the epoch. Safe to use from any thread.
    """

    def __init__(self) -> None:
        self._adding = threading.Lock()
        self.requests = self.rows = self.failed = 0
        self.runs = self.decode_ms = self.queue_ms = self.infer_ms = self.failed_ms = self.last_s = 0.0

    def add(self, timing: StageTimes, now_s: float) -> None:
        """Add a prediction."""
        with self._adding:
            self.requests += 1
            self.rows += timing.rows
            self.runs += 1 / timing.batch
            self.decode_ms += timing.decode_ms
            self.queue_ms += timing.queue_ms
            self.infer_ms += timing.infer_ms
            self.last_s = now_s

    def add_failure(self, took_ms: float) -> None:
        """Add a request for a prediction that was answered with an error."""
        with self._adding:
            self.failed += 1
            self.failed_ms += took_ms


class BusySeconds(Collector):
    """Reads the busy seconds at each scrape."""

    def __init__(self, read: Callable[[], float]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "tfleet_worker_busy_seconds",
            "Seconds in which the worker had at least one request to answer",
            self._read(),
        )


class WorkerMetrics:
    """The metrics of one worker, with their own registry: tests run several workers in one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        requests = Counter(
            "tfleet_worker_requests", "Requests answered", ["path", "status"], registry=self._registry
        )
        self.in_flight = Gauge(
            "tfleet_worker_in_flight",
            "Requests that are not answered in full yet, including this one",
            registry=self._registry,
        )
        self.waiting = Gauge(
            "tfleet_worker_waiting",
            "Decoded inputs that wait for the session",
            registry=self._registry,
        )
        self.queue_requests = Gauge(
            "tfleet_worker_queue_requests", "Requests that wait for a thread", registry=self._registry
        )
        self.queue_bytes = Gauge(
            "tfleet_worker_queue_bytes",
            "Bytes of request bodies that wait or arrive",
            registry=self._registry,
        )
        self.rejected = Counter(
            "tfleet_worker_rejected",
            "Requests that were rejected before inference, by reason",
            ["reason"],
            registry=self._registry,
        )
        for reason in Rejection:
            self.rejected.labels(reason)  # shown as 0 until it happens
        self.start_seconds = Gauge(
            "tfleet_worker_start_seconds", "Time to ready, in parts", ["part"], registry=self._registry
        )
        self.cpus = Gauge("tfleet_worker_cpus", "CPUs that the model runs on", registry=self._registry)
        self.model = Gauge(
            "tfleet_worker_model_info", "1 for the model", ["model", "version"], registry=self._registry
        )
        self.precision = Gauge(
            "tfleet_worker_precision", "1 for the precision in use", ["precision"], registry=self._registry
        )
        stages = Histogram(
            "tfleet_worker_stage_seconds",
            "Time of a prediction, by stage",
            ["stage"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        # Looking a child up by its labels takes as long as counting.
        self._decode, self._queue, self._infer = (
            stages.labels(stage) for stage in ("decode", "queue", "infer")
        )
        self.totals = PredictionTotals()
        self._answered = cache(lambda path, status: requests.labels(path, str(status)))

    def answered(self, path: str, status: int) -> None:
        """Count an answer. `path` is one of the few forms of paths, not what a client sent."""
        self._answered(path, status).inc()

    def classified(self, timing: StageTimes) -> None:
        """Count one prediction."""
        self._decode.observe(timing.decode_ms / 1000)
        self._queue.observe(timing.queue_ms / 1000)
        self._infer.observe(timing.infer_ms / 1000)
        self.totals.add(timing, time.time())

    def include(self, collector: Collector) -> None:
        """Add a collector to the page."""
        self._registry.register(collector)

    def text(self) -> bytes:
        """The page in Prometheus' text format, version 0.0.4."""
        return generate_latest(self._registry)
