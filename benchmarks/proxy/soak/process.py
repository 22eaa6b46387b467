"""A proxy in front of fake workers, each a process of its own, and what the proxy holds."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from tests.support.canned_server import nobody
from tests.support.environment import users_environment
from tests.support.waiting import eventually
from tfleet.contract.address import Address

# So many that each can be reset once in a while and be well for a minute in between.
WORKERS: Final = 64


@dataclass(frozen=True, slots=True)
class Held:
    """The proxy's resident memory, open descriptors and tasks at one time."""

    resident_bytes: int
    descriptors: int
    tasks: int


class Proxy:
    """A running proxy."""

    def __init__(self, address: Address, pid: int) -> None:
        self.address = address
        self._pid = pid

    async def held(self) -> Held:
        """Its memory, descriptors and tasks now."""
        return Held(self._resident_bytes(), self._descriptors(), await self._tasks())

    async def ready(self) -> None:
        """Wait until it knows its workers."""
        await eventually(self._readyz)

    def _resident_bytes(self) -> int:
        pages = Path(f"/proc/{self._pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def _descriptors(self) -> int:
        return len(list(Path(f"/proc/{self._pid}/fd").iterdir()))

    async def _readyz(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{self.address.url}/readyz") as answer,
            ):
                return answer.ok
        return False

    async def _tasks(self) -> int:
        async with aiohttp.ClientSession() as session, session.get(f"{self.address.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return next(int(float(line.split()[1])) for line in lines if line.startswith("tfleet_proxy_tasks "))


@contextlib.contextmanager
def proxy() -> Iterator[Proxy]:
    """A proxy and its workers inside the block."""
    with contextlib.ExitStack() as stack:
        workers = stack.enter_context(_process("benchmarks.proxy.soak.workers", str(WORKERS)))
        assert workers.stdout is not None
        named = ",".join(f"127.0.0.1:{port}" for port in workers.stdout.readline().split())
        address = nobody()
        options = ("--port", str(address.port), "--registry", f"static:{named}")
        process = stack.enter_context(_process("tfleet", "proxy", *options))
        yield Proxy(address, process.pid)


@contextlib.contextmanager
def _process(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=users_environment(),
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)
