"""A fleet of single processes, so that a test can do to each of them what it likes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import aiohttp

from tests.support.canned_server import nobody
from tests.support.environment import users_environment
from tests.support.forked_workers import ForkedWorkers
from tests.support.waiting import eventually, eventually_sync
from tests.support.worker_process import Worker, worker_process
from tfleet.contract.address import Address

_START_S = 90.0
# More than a steady load has in flight: that a full queue sends somebody away, on a machine that stalls for a
# second, is not what these tests are about.
_QUEUE = ("--max-queue", "1000")
_FAILED_TRIES = re.compile(r'^tfleet_proxy_failed_tries_total\{reason="\w+"\} ([\d.e+]+)$', re.MULTILINE)


class Fleet:
    """A proxy and workers that serve one small model; `stack` ends whatever is started."""

    forked_workers: ClassVar[ForkedWorkers]
    """Where the workers come from; conftest.py keeps one for all tests."""

    def __init__(self, registry: str, model: Path, stack: contextlib.ExitStack) -> None:
        self.proxy = nobody()
        self.workers: list[Worker] = []
        self._registry = registry
        self._model = model
        self._stack = stack

    async def start(self, workers: int, *proxy_options: str) -> None:
        """Start the proxy and so many workers, and wait until all are ready."""
        self.proxy_process = self.add_proxy(self.proxy, *proxy_options)
        for _ in range(workers):
            self.add_worker()
        await self.ready(workers)

    def add_proxy(self, address: Address, *options: str) -> subprocess.Popen[bytes]:
        """Start a proxy there; it is ready a moment later."""
        options = ("--port", str(address.port), "--registry", self._registry, *options)
        return self._stack.enter_context(_process("proxy", *options))

    def add_worker(
        self, *options: str, environment: Mapping[str, str] | None = None, forked: bool = True
    ) -> Worker:
        """Start one more worker; it is ready a moment later. `environment` adds to that of a user."""
        options = ("--model", str(self._model), "--registry", self._registry, *_QUEUE, *options)
        if forked:
            starting = self.forked_workers.worker(*options, environment=environment)
        else:
            starting = worker_process(*options, environment=users_environment() | dict(environment or {}))
        worker = self._stack.enter_context(starting)
        self.workers.append(worker)
        return worker

    def stop(self) -> None:
        """End all. How to end in order is not what these tests are about."""
        self._stack.close()

    async def ready(self, workers: int) -> None:
        """Wait until the proxy knows exactly so many that are ready."""
        await eventually(
            self.states, wanted=lambda found: found.count("ready") == workers, timeout_s=_START_S
        )

    async def states(self) -> list[str]:
        """The state of each worker that the proxy knows; nothing while the proxy does not answer."""
        try:
            return [row["state"] for row in (await self.rows()).values()]
        except aiohttp.ClientError:
            return []

    async def rows(self) -> dict[str, dict[str, Any]]:
        """What the proxy's `GET /workers` says, by the worker's id."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.proxy.url}/workers") as answer:
            return {row["id"]: row for row in (await answer.json())["workers"]}

    async def failed_tries(self) -> int:
        """How many tries of a worker gave nothing, as the proxy counts them."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.proxy.url}/metrics") as answer:
            return sum(int(float(number)) for number in _FAILED_TRIES.findall(await answer.text()))


@contextlib.asynccontextmanager
async def fleet(registry: str, model: Path, *proxy_options: str, workers: int) -> AsyncIterator[Fleet]:
    """A fleet whose workers are all ready."""
    with contextlib.ExitStack() as stack:
        running = Fleet(registry, model, stack)
        await running.start(workers, *proxy_options)
        yield running
        await asyncio.to_thread(running.stop)


@contextlib.contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryFile(prefix="tfleet-fleet-") as log:
        command = [sys.executable, "-m", "tfleet", *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=users_environment())
        try:
            yield process
        finally:
            process.kill()
            process.wait(60)


@contextlib.contextmanager
def registry_process(address: Address) -> Iterator[subprocess.Popen[bytes]]:
    """The embedded registry as a process of its own, as soon as it answers."""
    with _process("registry", "--port", str(address.port)) as process:
        eventually_sync(lambda: _listens(address))
        yield process


def _listens(address: Address) -> bool:
    with socket.socket() as client:
        return client.connect_ex((address.host, address.port)) == 0


def worker_id(worker: Worker) -> str:
    """The name by which the fleet knows a worker."""
    found: str = worker.wait_for("worker starting")["worker"]
    return found
