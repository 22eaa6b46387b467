"""What is said of every answer: its headers, its log line, and its place in the metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from tfleet.contract.names import (
    BATCH_SIZE,
    DRAIN_PATH,
    MODEL,
    QUEUE_LENGTH,
    REQUEST_ID,
    SERVER_TIMING,
    WORKER,
)

if TYPE_CHECKING:
    from tfleet.discovery.instance import Instance
    from tfleet.worker.metrics import StageTimes, WorkerMetrics
    from tfleet.worker.rejection import Rejection

FORWARDED_FOR: Final = "X-Forwarded-For"

# They come every few seconds, so they are logged only at level debug.
_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
UNKNOWN: Final = "unknown"
"""The form of a path that the worker has not."""
_ERRORS: Final = 400


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """A request and the status of its answer. `rule` is the form of its path, `began_s` the time at which
    work on it began, by `time.perf_counter`.
    """

    request_id: str
    method: str
    path: str
    rule: str
    client: str | None
    began_s: float
    status: int
    rejected: Rejection | None = None


class Observer:
    """Adds headers to answers, counts them and logs them. Safe to use from any thread.

    `in_session_queue` returns how many requests have their inputs decoded and wait for the session.
    """

    def __init__(
        self, instance: Instance, metrics: WorkerMetrics, in_session_queue: Callable[[], int]
    ) -> None:
        self._worker = ((WORKER, instance.id), (MODEL, instance.model_label))
        self._metrics = metrics
        self._in_session_queue = in_session_queue
        self._log: Any = structlog.get_logger().bind(worker=instance.id)

    def headers(self, request_id: str, waiting: int, timing: StageTimes | None) -> list[tuple[str, str]]:
        """The headers of an answer. `waiting` requests wait for a thread; `timing` is a prediction's."""
        found = [
            (REQUEST_ID, request_id),
            *self._worker,
            (QUEUE_LENGTH, str(waiting + self._in_session_queue())),
        ]
        if timing is not None:
            found += [(SERVER_TIMING, timing.header()), (BATCH_SIZE, str(timing.batch))]
        return found

    def note(self, answered: AnsweredRequest) -> None:
        """Count an answer and log it."""
        self._metrics.answered(answered.rule, answered.status)
        took_ms = (time.perf_counter() - answered.began_s) * 1000
        if answered.status >= _ERRORS and answered.method == "POST" and not _is_page(answered.rule):
            self._metrics.totals.add_failure(took_ms)
        write = self._log.debug if answered.path in _PROBES else self._log.info
        write(
            "request",
            request_id=answered.request_id,
            method=answered.method,
            path=answered.path,
            status=answered.status,
            ms=round(took_ms, 1),
            client=answered.client,
            **({} if answered.rejected is None else {"rejected": answered.rejected}),
        )


def _is_page(rule: str) -> bool:
    """Whether a POST to such a path asks for no prediction."""
    return rule in {UNKNOWN, DRAIN_PATH} or (rule.startswith("/v2/") and not rule.endswith("/infer"))
