"""A proxy of several processes, as a user starts it."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import aiohttp

from tests.support.environment import users_environment
from tests.support.fake_worker import FakeWorker
from tests.support.waiting import eventually, eventually_sync
from tfleet.contract.address import Address

_LISTEN = "0A"


class Together:
    """`tfleet proxy --listeners N`."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self.process = process
        self._log = log

    @property
    def address(self) -> Address:
        """Where it listens, as soon as it does."""
        found = eventually_sync(lambda: self.lines("proxy listening"))
        return Address.parse(found[0]["address"])

    def pids(self) -> list[int]:
        """The processes of its listeners."""
        return listeners_of(self.process.pid)

    def lines(self, event: str) -> list[dict[str, Any]]:
        """What it has logged under this name."""
        found = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]

    def text(self) -> str:
        """All that it has written, but for a line that is not finished."""
        return Path(self._log.name).read_text().rpartition("\n")[0]


def listeners_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    with contextlib.suppress(FileNotFoundError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sorted(map(int, children))
    return []


@contextlib.contextmanager
def together(*options: str, listeners: int = 2, port: int = 0) -> Iterator[Together]:
    """It starts inside the block, in a process group of its own, and is killed after it."""
    with tempfile.NamedTemporaryFile(prefix="tfleet-together-") as log:
        command = [
            *(sys.executable, "-m", "tfleet", "proxy", "--listeners", str(listeners), "--port", str(port)),
            *("--drain-grace", "0.2", *options),
        ]
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=users_environment(), start_new_session=True
        )
        try:
            yield Together(process, log)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait(60)


async def get(url: str) -> str:
    """Over a connection of its own, so that either of the listeners may get it."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.text()


async def metrics(proxy: Address) -> str:
    return await get(f"{proxy.url}/metrics")


async def post(proxy: Address, requests: int) -> None:
    """Each over a connection of its own."""
    for _ in range(requests):
        async with aiohttp.ClientSession() as session, session.post(proxy.url, data=b"x") as answer:
            assert answer.status == 200, await answer.text()


async def address_of(running: Together) -> Address:
    return await asyncio.to_thread(lambda: running.address)


async def pids(running: Together, wanted: int = 2) -> list[int]:
    return await eventually(
        lambda: asyncio.to_thread(running.pids), wanted=lambda found: len(found) == wanted
    )


async def lines(running: Together, event: str, wanted: int = 1) -> list[dict[str, Any]]:
    return await eventually(
        lambda: asyncio.to_thread(running.lines, event), wanted=lambda found: len(found) >= wanted
    )


def static(worker: FakeWorker) -> tuple[str, str]:
    return "--registry", f"static:{worker.address}"


def listening(proxy: Address) -> int:
    """How many sockets listen there."""
    here = f":{proxy.port:04X} 00000000:0000 {_LISTEN} "
    return Path("/proc/net/tcp").read_text().count(here)


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
