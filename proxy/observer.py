"""What is written down of each request: a log line, and the counters."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import structlog

from tfleet.proxy.metrics import Metrics
from tfleet.proxy.poison import REMEMBERED_S, shown
from tfleet.proxy.request_line import request_writer

CLIENT_CLOSED: Final = 499
"""nginx's status for a client that did not wait for its answer; it is only counted and logged."""

BROKEN_ANSWER: Final = 502
"""As what an answer is counted and logged that its worker did not end; the client has seen its beginning."""

_MALFORMED: Final = "malformed"

# Asked every few seconds by whoever watches the fleet: not worth a line each, unless somebody looks closely.
_WATCHING = frozenset({"/healthz", "/readyz", "/metrics", "/workers", "/workers/{id}/metrics"})


class Observer:
    """Takes note of requests when they are over."""

    def __init__(self, metrics: Metrics, loop: asyncio.AbstractEventLoop) -> None:
        self._metrics = metrics
        self._write_request = request_writer(loop)
        self._log: Any = structlog.get_logger()

    def answered(
        self,
        *,
        request_id: str,
        method: str,
        path: str,
        route: str,
        status: int,
        seconds: float,
        worker: str | None,
    ) -> None:
        """A request has had its answer, or has lost its client. `route` is what it is counted under."""
        self._metrics.tally.answered(route, status, seconds)
        ms = round(seconds * 1000, 1)
        if route not in _WATCHING:
            self._write_request(request_id, method, path, status, ms, worker)
        else:
            self._log.debug("request", request_id=request_id, method=method, path=path, status=status, ms=ms)

    def refused(self, *, request_id: str, status: int, error: str) -> None:
        """What came never became a request."""
        self._metrics.tally.refused(_MALFORMED, status)
        self._log.info("request", request_id=request_id, method=None, path=None, status=status, error=error)

    def went_wrong(self, *, request_id: str, error: BaseException | None) -> None:
        """The fault is the proxy's own."""
        self._log.error("request failed", request_id=request_id, exc_info=error)

    def broken_off(self, *, request_id: str, worker: str, error: str) -> None:
        """Tell whoever looks why a client has half an answer: the request can't be sent again."""
        self._metrics.broken_answers.inc()
        self._log.warning("answer broken off", request_id=request_id, worker=worker, error=error)

    def poisoned(self, request_id: str, digest: bytes, failures: Sequence[str]) -> None:
        """Tell whoever looks which body workers fail on, and which of them did."""
        self._metrics.poison_bodies.inc()
        self._log.warning(
            "workers fail on this body: for a while it gets one try only",
            request_id=request_id,
            body=shown(digest),
            failures=list(failures),
            seconds=round(REMEMBERED_S),
        )
