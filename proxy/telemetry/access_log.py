"""The log line of a request: one for each, so it must not cost as much as the request.

structlog takes longer for it than the rest of a small request. What is written here is what it would write.

What is written down of each request: a log line, and the counters.
"""

from __future__ import annotations

import asyncio
import json
import select
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TextIO

import structlog

from tfleet.proxy.forwarding.poison_bodies import REMEMBERED_S, shown
from tfleet.proxy.telemetry.metrics import ProxyMetrics
from tfleet.runtime import log

_quoted: Final = json.encoder.encode_basestring_ascii

WriteRequest = Callable[[str, str, str, int, float, str | None], None]
"""Takes request id, method, path, status, milliseconds and the worker's id."""


def request_writer(loop: asyncio.AbstractEventLoop) -> WriteRequest:
    """Who writes the lines, as logging was configured."""
    stream = log.json_stream()
    return _write_event if stream is None else JsonLines(stream, loop).write


class JsonLines:
    """Writes all lines of one turn of the event loop at once, at its end."""

    def __init__(self, stream: TextIO, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._loop = loop
        self._lines: list[str] = []
        self._second = (0, "")
        """A second of Unix time, and how ISO 8601 has it."""

    def write(
        self, request_id: str, method: str, path: str, status: int, ms: float, worker: str | None
    ) -> None:
        """Write a line, soon."""
        if not self._lines:
            self._loop.call_soon(self._flush)
        self._lines.append(
            f'{{"request_id": {_quoted(request_id)}, "method": {_quoted(method)}, "path": {_quoted(path)}, '
            f'"status": {status}, "ms": {ms}, "worker": {"null" if worker is None else _quoted(worker)}, '
            f'"event": "request", "level": "info", "timestamp": "{self._now()}"}}\n'
        )

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        for piece in pieces(lines):
            self._stream.write(piece)
            self._stream.flush()

    def _now(self) -> str:
        """In UTC. Most lines share their second with the one before, so it is not spelled out each time."""
        now_s, fraction_ns = divmod(time.time_ns(), 1_000_000_000)
        if now_s != self._second[0]:
            self._second = now_s, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_s))
        return f"{self._second[1]}.{fraction_ns // 1000:06d}Z"


def pieces(lines: list[str]) -> Iterator[str]:
    """The lines, as many together as a pipe takes at once, so that no other process writes into them.

    One that is longer by itself stands alone. They are ASCII.
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


CLIENT_CLOSED: Final = 499
"""nginx's status for a client that did not wait for its answer; it is only counted and logged."""

BROKEN_ANSWER: Final = 502
"""As what an answer is counted and logged that its worker did not end; the client has seen its beginning."""

_MALFORMED: Final = "malformed"

# Asked every few seconds by whoever watches the fleet: not worth a line each, unless somebody looks closely.
_WATCHING = frozenset({"/healthz", "/readyz", "/metrics", "/workers", "/workers/{id}/metrics"})


class AccessLog:
    """Takes note of requests when they are over."""

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
