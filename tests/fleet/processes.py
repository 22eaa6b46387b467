"""A fleet of single processes, so that a test can do to each of them what it likes."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp

from tests.canned import nobody
from tests.environment import users_environment
from tests.waiting import eventually
from tests.worker.process import Worker, worker_process
from tfleet.discovery.address import Address

_START_S = 90.0


class Fleet:
    """A proxy and workers that serve one small model; `stack` ends whatever is started."""

    def __init__(self, registry: str, model: Path, stack: contextlib.ExitStack) -> None:
        self.proxy = nobody()
        self.workers: list[Worker] = []
        self._registry = registry
        self._model = model
        self._stack = stack

    async def start(self, workers: int, *proxy_options: str) -> None:
        """Start the proxy and so many workers, and wait until all are ready."""
        options = ("--port", str(self.proxy.port), "--registry", self._registry, *proxy_options)
        self._stack.enter_context(_process("proxy", *options))
        for _ in range(workers):
            self.add_worker()
        await self.ready(workers)

    def add_worker(self) -> Worker:
        """Start one more worker; it is ready some seconds later."""
        options = ("--model", str(self._model), "--registry", self._registry)
        worker = self._stack.enter_context(worker_process(*options, environment=users_environment()))
        self.workers.append(worker)
        return worker

    def stop(self) -> None:
        """End all, the workers together: one after the other would take the drain of each."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.terminate()
        self._stack.close()

    async def ready(self, workers: int) -> None:
        """Wait until the proxy knows exactly so many that are ready."""
        await eventually(
            self.states, wanted=lambda found: found.count("ready") == workers, timeout_s=_START_S
        )

    async def states(self) -> list[str]:
        """The state of each worker that the proxy knows; nothing while the proxy does not answer."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{self.proxy.url}/workers") as answer,
            ):
                return [row["state"] for row in (await answer.json())["workers"]]
        except aiohttp.ClientError:
            return []


@contextlib.asynccontextmanager
async def fleet(registry: str, model: Path, *, workers: int) -> AsyncIterator[Fleet]:
    """A fleet whose workers are all ready."""
    with contextlib.ExitStack() as stack:
        running = Fleet(registry, model, stack)
        await running.start(workers)
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
            process.terminate()
            process.wait(60)


def registry_process(address: Address) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """The embedded registry as a process of its own."""
    return _process("registry", "--port", str(address.port))
