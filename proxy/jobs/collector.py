"""Metrics of the queue of jobs, by Redis.

Redis counts, so all proxies and listeners expose the same figures: take the largest, and don't add them up.
While a Redis is down its counters stay as they were, and what is true only now is left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from tfleet.jobs.counts import ANSWER_BUCKETS_MS, AnswerTimes, Counted, ShardReport, ShardStats

REDIS_UP: Final = "tfleet_proxy_job_redis_up"
_JOBS: Final = "tfleet_proxy_jobs"
_BYTES: Final = "tfleet_proxy_job_bytes"
_OLDEST: Final = "tfleet_proxy_job_oldest_waiting_seconds"
_SUBMITTED: Final = "tfleet_proxy_jobs_submitted"
_SETTLED: Final = "tfleet_proxy_jobs_settled"
_QUEUED_AGAIN: Final = "tfleet_proxy_jobs_queued_again"
_CALLBACKS: Final = "tfleet_proxy_job_callbacks"
_SECONDS: Final = "tfleet_proxy_job_seconds"
REDIS_FIGURES: Final = frozenset(
    {_JOBS, _BYTES, _OLDEST, _SUBMITTED, _SETTLED, _QUEUED_AGAIN, _CALLBACKS, _SECONDS}
)
"""What all listeners report alike."""

_RESULTS: Final = {"accepted": Counted.ACCEPTED, "full": Counted.FULL}
_STATES: Final = {
    each.value: each for each in (Counted.DONE, Counted.EXPIRED, Counted.CANCELLED, Counted.DEAD)
}
_REASONS: Final = {"abandoned": Counted.ABANDONED, "declined": Counted.PUT_BACK}
_CALLBACK_RESULTS: Final = {
    "received": Counted.CALLBACK_RECEIVED,
    "failed": Counted.CALLBACK_FAILED,
    "given-up": Counted.CALLBACK_GIVEN_UP,
}


class JobCollector(Collector):
    """Exposes what a proxy knows of its shards. `reports` may be called in any thread."""

    def __init__(self, reports: Callable[[], Sequence[ShardReport]]) -> None:
        self._reports = reports

    def collect(self) -> Iterator[Metric]:
        reports = self._reports()
        up = GaugeMetricFamily(REDIS_UP, "1 while this Redis answers", labels=["redis"])
        for report in reports:
            up.add_metric([report.redis], report.up)
        yield up
        yield from _now({each.redis: each.stats for each in reports if each.up and each.stats})
        yield from _since_the_start({each.redis: each.stats for each in reports if each.stats})


def _now(shards: Mapping[str, ShardStats]) -> Iterator[Metric]:
    jobs = GaugeMetricFamily(_JOBS, "Jobs that wait, run or are dead", labels=["redis", "state"])
    used = GaugeMetricFamily(_BYTES, "Bytes of all bodies and answers", labels=["redis"])
    oldest = GaugeMetricFamily(_OLDEST, "How long the oldest job has waited", labels=["redis"])
    for redis, stats in shards.items():
        states = {"waiting": stats.waiting, "running": stats.running, "dead": stats.dead}
        for state, number in states.items():
            jobs.add_metric([redis, state], number)
        used.add_metric([redis], stats.bytes)
        oldest.add_metric([redis], stats.oldest_waiting_ms / 1000)
    yield from (jobs, used, oldest)


def _since_the_start(shards: Mapping[str, ShardStats]) -> Iterator[Metric]:
    for name, meaning, label, values in (
        (_SUBMITTED, "Jobs that clients have submitted", "result", _RESULTS),
        (_SETTLED, "Jobs that have ended, and dead ones", "state", _STATES),
        (_QUEUED_AGAIN, "Jobs that went from one worker to another", "reason", _REASONS),
        (_CALLBACKS, "Callbacks that were sent", "result", _CALLBACK_RESULTS),
    ):
        family = CounterMetricFamily(name, meaning, labels=["redis", label])
        for redis, stats in shards.items():
            for value, counted in values.items():
                family.add_metric([redis, value], stats.counts[counted])
        yield family
    seconds = HistogramMetricFamily(_SECONDS, "Time from acceptance to answer", labels=["redis"])
    for redis, stats in shards.items():
        seconds.add_metric([redis], _cumulative(stats.answer_times), stats.answer_times.total_ms / 1000)
    yield seconds


def _cumulative(times: AnswerTimes) -> list[tuple[str, float]]:
    names = [*(str(bound_ms / 1000) for bound_ms in ANSWER_BUCKETS_MS), "+Inf"]
    return list(zip(names, itertools.accumulate(times.buckets), strict=True))
