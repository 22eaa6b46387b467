"""The log line of a request: one for each, so it must not cost as much as the request.

structlog takes longer for it than the rest of a small request. What is written here is what it would write.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TextIO

import structlog

from tfleet.discovery import log

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

    def write(
        self, request_id: str, method: str, path: str, status: int, ms: float, worker: str | None
    ) -> None:
        """Write a line, soon."""
        if not self._lines:
            self._loop.call_soon(self._flush)
        self._lines.append(
            f'{{"request_id": {_quoted(request_id)}, "method": {_quoted(method)}, "path": {_quoted(path)}, '
            f'"status": {status}, "ms": {ms}, "worker": {"null" if worker is None else _quoted(worker)}, '
            f'"event": "request", "level": "info", "timestamp": "{_now()}"}}\n'
        )

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        self._stream.write("".join(lines))
        self._stream.flush()


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _write_event(request_id: str, method: str, path: str, status: int, ms: float, worker: str | None) -> None:
    structlog.get_logger().info(
        "request", request_id=request_id, method=method, path=path, status=status, ms=ms, worker=worker
    )
