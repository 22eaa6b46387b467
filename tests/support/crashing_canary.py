"""A worker of version 2 of the model `m` that fails from its 20th request on, under a supervisor: its process
ends, or it answers with 500.

It registers itself, as a worker does, always at the same port; at its start it removes the entry of the one
that has crashed. It answers as the model of tensor_models.write_version does.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.canned_server import nobody
from tests.support.environment import users_environment
from tests.support.registered_workers import deregister, register
from tfleet.contract.address import Address

FAILS_AT = 20
VERSION = 2


class Fault(enum.Enum):
    """What happens at the 20th request of a process, and at each after it."""

    CRASH = "crash"
    ANSWER_500 = "answer 500"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body of an answer in one piece
    disable_nagle_algorithm = True
    worker_id = ""
    fault = Fault.CRASH
    requests = itertools.count(1)

    def do_GET(self) -> None:
        self._answer(200, b"ready\n")

    def do_POST(self) -> None:
        row = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if next(self.requests) < FAILS_AT:
            self._answer(200, json.dumps({"success": True, "outputs": {"y": row["x"] * VERSION}}).encode())
        elif self.fault is Fault.CRASH:
            os._exit(1)
        else:
            self._answer(500, b'{"success": false, "detail": "by a test"}')

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Nobody reads it."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Worker", self.worker_id)
        self.send_header("X-Model", f"m/{VERSION}")
        self.end_headers()
        self.wfile.write(body)


class Supervised:
    """Starts it again whenever it has ended. `exits` counts how often."""

    def __init__(self, registry: Address, fault: Fault) -> None:
        self.exits = 0
        self._registry = registry
        self._fault = fault
        self._port = nobody().port
        self._closing = threading.Event()
        self._process = self._start()
        self._thread = threading.Thread(target=self._supervise, name="supervisor")
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._process.kill()
        self._thread.join()

    def _supervise(self) -> None:
        while True:
            self._process.wait()
            if self._closing.is_set():
                return
            self.exits += 1
            self._process = self._start()
            if self._closing.is_set():  # while it was started
                self._process.kill()

    def _start(self) -> subprocess.Popen[bytes]:
        name = "tests.support.crashing_canary"
        arguments = [str(self._registry), str(self._port), str(self.exits), self._fault.value]
        command = [sys.executable, "-m", name, *arguments]
        environment = users_environment() | {"PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.Popen(command, env=environment)


@contextlib.contextmanager
def crashing_canary(registry: Address, fault: Fault = Fault.CRASH) -> Iterator[Supervised]:
    """It is starting, again and again, inside the block."""
    running = Supervised(registry, fault)
    try:
        yield running
    finally:
        running.close()


async def _registered(registry: Address, own: Address, number: int) -> str:
    name = f"canary-{own.port}"
    if number:
        await deregister(registry, f"{name}-{number - 1}")
    worker_id = f"{name}-{number}"
    await register(registry, own, worker_id=worker_id, model="m", version=str(VERSION))
    return worker_id


def main(registry: str, port: str, number: str, fault: str) -> None:
    """Listen, register, serve."""
    _Handler.fault = Fault(fault)
    own = Address("127.0.0.1", int(port))
    server = ThreadingHTTPServer((own.host, own.port), _Handler)
    _Handler.worker_id = asyncio.run(_registered(Address.parse(registry), own, int(number)))
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
