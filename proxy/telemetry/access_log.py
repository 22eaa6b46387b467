"""The access log: one line for each request, and the request counters.

structlog takes longer for a line than the rest of a small request takes. So JSON lines are formatted here,
in the same form.
"""

from __future__ import annotations

import asyncio
import json
import select
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TextIO

import structlog

from tfleet.proxy.telemetry.metrics import ProxyMetrics
from tfleet.runtime import log

CLIENT_CLOSED: Final = 499
"""nginx's status for a client that disconnected before the response; only counted and logged."""

BROKEN_RESPONSE: Final = 502
"""The status logged for a response that the worker broke off."""

_MALFORMED: Final = "malformed"

# Requested every few seconds by monitoring: logged at level debug only.
_MONITORING = frozenset(
    {
        *("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"),
        *("/metrics", "/workers", "/workers/{id}/metrics"),
    }
)

_quoted: Final = json.encoder.encode_basestring_ascii

WriteRequest = Callable[[str, str, str, int, float, str | None], None]
"""Takes request id, method, path, status, milliseconds and the worker's id."""


def request_writer(loop: asyncio.AbstractEventLoop) -> WriteRequest:
    """Return the function that writes the lines, according to the configured log format."""
    stream = log.json_stream()
    return _write_event if stream is None else JsonLines(stream, loop).write


class JsonLines:
    """Writes all lines of one event loop iteration together, at its end."""

    def __init__(self, stream: TextIO | log.LogStream, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._loop = loop
        self._lines: list[str] = []
        self._second = (0, "")
        """The current second in Unix time, and its ISO 8601 text."""

    def write(
        self, request_id: str, method: str, path: str, status: int, ms: float, worker: str | None
    ) -> None:
        """Write a line at the end of this iteration."""
        if not self._lines:
            self._loop.call_soon(self._flush)
        self._lines.append(
            f'{{"request_id": {_quoted(request_id)}, "method": {_quoted(method)}, "path": {_quoted(path)}, '
            f'"status": {status}, "ms": {ms}, "worker": {"null" if worker is None else _quoted(worker)}, '
            f'"event": "request", "level": "info", "timestamp": "{self._now()}"}}\n'
        )

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        for piece in atomic_chunks(lines):
            self._stream.write(piece)
            self._stream.flush()

    def _now(self) -> str:
        """Return the time in UTC. Most lines are in the same second as the one before, so its text
        is cached.
        """
        now_s, fraction_ns = divmod(time.time_ns(), 1_000_000_000)
        if now_s != self._second[0]:
            self._second = now_s, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_s))
        return f"{self._second[1]}.{fraction_ns // 1000:06d}Z"


def atomic_chunks(lines: list[str]) -> Iterator[str]:
    """Join lines into chunks that a pipe takes in one write, so that lines of other processes do not get
    mixed in.

    A longer line is a chunk by itself. The lines are ASCII.
    """
    together: list[str] = []
    chars = 0
    for line in lines:
        if together and chars + len(line) > select.PIPE_BUF:
            yield "".join(together)
            together, chars = [], 0
        together.append(line)
        chars += len(line)
    if together:
        yield "".join(together)


def _write_event(request_id: str, method: str, path: str, status: int, ms: float, worker: str | None) -> None:
    structlog.get_logger().info(
        "request", request_id=request_id, method=method, path=path, status=status, ms=ms, worker=worker
    )


class AccessLog:
    """Logs and counts requests when they are over."""

    def __init__(self, metrics: ProxyMetrics, loop: asyncio.AbstractEventLoop) -> None:
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
        """A request was answered, or its client disconnected. `route` is the label of the counters."""
        self._metrics.stats.answered(route, status, seconds)
        ms = round(seconds * 1000, 1)
        if route not in _MONITORING:
            self._write_request(request_id, method, path, status, ms, worker)
        else:
            self._log.debug("request", request_id=request_id, method=method, path=path, status=status, ms=ms)

    def refused(self, *, request_id: str, status: int, error: str) -> None:
        """The data was not a valid request."""
        self._metrics.stats.refused(_MALFORMED, status)
        self._log.info("request", request_id=request_id, method=None, path=None, status=status, error=error)

    def went_wrong(self, *, request_id: str, error: BaseException | None) -> None:
        """An internal error of the proxy."""
        self._log.error("request failed", request_id=request_id, exc_info=error)

    def broken_off(self, *, request_id: str, worker: str, error: str) -> None:
        """Log why a client got only part of a response: the request could not be retried any more."""
        self._metrics.broken_answers.inc()
        self._log.warning("answer broken off", request_id=request_id, worker=worker, error=error)

    def poisoned(self, request_id: str, body: str, failures: Sequence[str], *, remembered_s: float) -> None:
        """Log the body that workers fail on, and the failures."""
        self._metrics.poison_bodies.inc()
        self._log.warning(
            "workers fail on this body: for a while it gets one attempt only",
            request_id=request_id,
            body=body,
            failures=list(failures),
            seconds=round(remembered_s),
        )
