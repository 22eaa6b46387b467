"""How much slower the first request is that a ready worker gets."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Final

from benchmarks.load.connection import Connection
from benchmarks.load.form import Form
from benchmarks.report.server_process import server
from tests.support.canned_server import nobody

_FOLLOWING: Final = 20
_OK: Final = 200


def first_of(image: bytes) -> float:
    """How many times as long as the middle of the following ones it takes, all alone over one connection.

    Starts a worker for it.
    """
    port = nobody().port
    arguments = ("worker", "--registry", "static:", "--port", str(port), "--log-format", "json")
    url = f"http://127.0.0.1:{port}/"
    with server("a new worker", url, "tfleet", (*arguments, "--precision", "float32")) as worker:
        worker.says_ready()
        return asyncio.run(_first(url, Form.of(image).request(url)))


async def _first(url: str, request: bytes) -> float:
    connection = await Connection.open(url)
    took_s: list[float] = []
    for _ in range(1 + _FOLLOWING):
        began_s = time.perf_counter()
        answer = await connection.send(request)
        took_s.append(answer.done_s - began_s)
        if answer.status != _OK:
            raise SystemExit(f"a new worker answered {answer.status} to a photograph")
    connection.close()
    return took_s[0] / statistics.median(took_s[1:])
