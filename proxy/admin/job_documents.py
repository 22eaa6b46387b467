"""What `GET /workers` says of jobs: the figures of each Redis, as the metrics of all listeners have them."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

_UP: Final = "tfleet_proxy_job_redis_up"
_JOBS: Final = "tfleet_proxy_jobs"
_OLDEST: Final = "tfleet_proxy_job_oldest_waiting_seconds"


def job_documents(exposed: bytes) -> list[dict[str, object]]:
    """A document for each Redis in a page of metrics. One that is not `up` has no figures."""
    found: defaultdict[str, dict[str, object]] = defaultdict(dict)
    lines = exposed.decode("utf-8").splitlines(keepends=True)
    wanted = (line for line in lines if any(name in line for name in (_UP, _JOBS, _OLDEST)))
    for family in text_string_to_metric_families("".join(wanted)):
        for sample in family.samples:
            of_redis = found[sample.labels["redis"]]
            if sample.name == _UP:
                of_redis["up"] = sample.value == 1
            elif sample.name == _JOBS:
                of_redis[sample.labels["state"]] = int(sample.value)
            elif sample.name == _OLDEST:
                of_redis["oldest_waiting_s"] = round(sample.value, 1)
    return [{"redis": redis, **figures} for redis, figures in found.items()]
