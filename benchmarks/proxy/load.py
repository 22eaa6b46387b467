"""The load: wrk where it is installed, else a generator of our own, which takes more of the processors."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.load import closed_loop as own
from benchmarks.load.form import Form

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_PATIENCE_S: Final = 10


@dataclass(frozen=True, slots=True)
class Sent:
    """Responses a second, p50 and p99 in milliseconds, and the number of responses."""

    per_second: float
    p50_ms: float
    p99_ms: float
    answered: int
    failed: int


def has_wrk() -> bool:
    """Whether it is installed."""
    return shutil.which("wrk") is not None


def load(url: str, form: Form | None, connections: int, seconds: int, think_ms: int = 0) -> Sent:
    """Post the form, or GET where there is none, for so long. With wrk alone, each connection waits before
    each request for `think_ms` on average.
    """
    if not has_wrk():
        assert not think_ms
        return asyncio.run(_own(url, form, connections, seconds))
    with tempfile.NamedTemporaryFile(prefix="tfleet-bench-") as body:
        body.write(form.body if form else b"")
        body.flush()
        sends = ("POST", body.name, form.content_type) if form else ("GET", "-", "-")
        command = [
            *("wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
            *("--timeout", f"{_PATIENCE_S}s", "--script", str(_SCRIPT), url, "--", *sends, str(think_ms)),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=seconds + 2 * _PATIENCE_S
        )
    said = json.loads(done.stdout.splitlines()[-1])
    rate = said["answered"] / said["seconds"]
    return Sent(rate, said["p50_ms"], said["p99_ms"], said["answered"], said["failed"])


async def _own(url: str, form: Form | None, connections: int, seconds: int) -> Sent:
    parts = urlsplit(url)
    get = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    request = form.request(url) if form else get
    until_s = time.perf_counter() + seconds

    def requests() -> Iterator[bytes]:
        while time.perf_counter() < until_s:
            yield request

    found = await own.sent(url, requests(), connections)
    return Sent(found.per_second, found.p50_ms, found.p99_ms, found.answered, found.failed)
