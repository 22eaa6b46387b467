"""A body that ends the process of whoever gets it ends two of five, and costs nobody else a request."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from tests.support.crashing_worker import POISON
from tests.support.environment import users_environment
from tests.support.fleet_processes import Fleet
from tests.support.waiting import eventually

_CLIENTS = 8
_FORM = "multipart/form-data; boundary="


@contextlib.contextmanager
def mortal() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process and its address."""
    command = [sys.executable, "-m", "tests.support.crashing_worker"]
    environment = users_environment() | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        yield process, f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


async def test_a_body_that_kills_ends_two_of_five_workers(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(mortal()) for _ in range(5)]
        workers = [process for process, _ in found]
        registry = "static:" + ",".join(address for _, address in found)
        running = Fleet(registry, tmp_path, stack)
        await running.start(0)
        await running.ready(5)
        async with aiohttp.ClientSession() as session:
            url, sent, enough = running.proxy.url, 0, asyncio.Event()

            async def send(client: int) -> None:
                nonlocal sent
                while not enough.is_set():
                    body, sent = b"image %d of %d" % (sent, client), sent + 1
                    async with session.post(url, data=body) as answer:
                        assert (answer.status, await answer.read()) == (200, body)

            async def send_poison(boundary: str) -> str:
                form = f"--{boundary}\r\n\r\n{POISON.decode()}\r\n--{boundary}--".encode()
                headers = {"Content-Type": _FORM + boundary}
                async with session.post(url, data=form, headers=headers) as answer:
                    assert answer.status == 502
                    return str((await answer.json())["detail"])

            async def alive() -> int:
                return sum(worker.poll() is None for worker in workers)

            async def have_survived(count: int) -> None:
                # The answer may come before the system has noticed the end of the process.
                await eventually(alive, wanted=lambda found: found <= count)
                await running.ready(count)
                assert await alive() == count

            async with asyncio.TaskGroup() as load:
                for client in range(_CLIENTS):
                    load.create_task(send(client))
                detail = await send_poison("xx")
                assert "workers fail on this body" in detail
                assert sum(address in detail for _, address in found) == 2
                await have_survived(3)
                await send_poison("yyyy")
                await have_survived(2)
                enough.set()
            assert sent > 100
        await asyncio.to_thread(stack.close)
