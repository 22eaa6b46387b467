"""The pages of a proxy of several processes, which the parent serves whichever listener is asked."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import fake_worker
from tests.support.proxy_process import address_of, get, lines, pids, post, static, together
from tests.support.raw_client import raw_client
from tests.support.registered_workers import register
from tests.support.waiting import eventually
from tfleet.contract.address import Address

pytestmark = pytest.mark.process


async def answer(proxy: Address, path: str) -> tuple[int, Any]:
    """Over a connection of its own, so that any listener may get it."""
    async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}{path}") as found:
        return found.status, await found.json(content_type=None) if path == "/workers" else await found.text()


async def test_readyz_is_200_when_every_listener_has_a_worker() -> None:
    async with fake_worker() as worker:
        worker.ready = False
        with together(*static(worker)) as running:
            proxy = await address_of(running)
            assert (await answer(proxy, "/readyz"))[0] == 503
            worker.ready = True
            await eventually(lambda: answer(proxy, "/readyz"), wanted=lambda found: found[0] == 200)
            for _ in range(8):
                await post(proxy, 1)
                assert (await answer(proxy, "/readyz"))[0] == 200


async def test_a_page_is_counted_once_whoever_is_asked() -> None:
    async with fake_worker() as worker:
        with together(*static(worker)) as running:
            proxy = await address_of(running)
            for _ in range(10):
                assert (await answer(proxy, "/nothing"))[0] == 404
            assert 'tfleet_proxy_requests_total{route="unknown",status="404"} 10.0' in await get(
                f"{proxy.url}/metrics"
            )


async def test_every_listener_says_the_same_of_the_fleet() -> None:
    with embedded_registry() as registry:
        async with fake_worker() as worker:
            worker.name = "w1"
            await register(registry, worker.address, worker_id="w1", model="m", version="3")
            with together("--registry", f"consul://{registry}") as running:
                proxy = await address_of(running)
                state = '{"model_version_status": [{"version": "3", "state": "AVAILABLE"'

                async def status() -> str:
                    return str((await answer(proxy, "/v1/models/m"))[1])

                # A listener that has just found the worker says that it is starting.
                await eventually(lambda: answer(proxy, "/readyz"), wanted=lambda found: found[0] == 200)
                await eventually(status, wanted=lambda text: text.startswith(state))
                for _ in range(8):
                    assert (await status()).startswith(state)
                    assert await answer(proxy, "/v1/models") == (200, '{"models": ["m"]}')
                    assert await answer(proxy, "/v2/models/m/ready") == (200, '{"name": "m", "ready": true}')
                    assert (await answer(proxy, "/v2/models/m"))[0] == 200
                assert [seen.path for seen in worker.seen] == ["/v2/models/m"] * 8


async def test_a_killed_listener_takes_only_its_own_pages_along() -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def hold(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        if request.path != "/metrics":
            raise aiohttp.web.HTTPOk
        asked.set()
        await eventually(lambda: asyncio.sleep(0, gone(request)))
        left.set()
        raise aiohttp.web.HTTPOk

    async with fake_worker() as worker:
        worker.answer = hold
        with together(*static(worker)) as running:
            proxy = await address_of(running)
            before = await pids(running)
            async with raw_client(proxy) as client:
                path = f"/workers/{worker.address}/metrics"
                await client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                await asked.wait()
                victim = await asyncio.to_thread(holder, before, proxy)
                os.kill(victim, signal.SIGKILL)
                assert await client.ends() == b""
            await asyncio.wait_for(left.wait(), 5)  # the parent has given the page up
            status, document = await answer(proxy, "/workers")
            assert (status, len(document["workers"])) == (200, 1)
            await lines(running, "listener started", 3)
            assert (await answer(proxy, "/healthz"))[0] == 200
            assert "Traceback" not in running.text()


def gone(request: aiohttp.web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def holder(listeners: list[int], proxy: Address) -> int:
    """The listener that holds a client's connection."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (inode,) = {row[9] for row in rows if row[1].endswith(f":{proxy.port:04X}") and row[3] == "01"}
    (found,) = [pid for pid in listeners if f"socket:[{inode}]" in open_files(pid)]
    return found


def open_files(pid: int) -> set[str]:
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return found


async def test_the_parent_serves_the_admin_port() -> None:
    async with fake_worker() as worker:
        with together(*static(worker), "--admin-port", "0") as running:
            proxy = await address_of(running)
            (line,) = await lines(running, "proxy listening")
            admin = Address.parse(line["admin"])
            await post(proxy, 5)
            for _ in range(4):
                for path in ("/workers", "/metrics", f"/workers/{worker.address}/metrics"):
                    assert (await answer(proxy, path))[0] == 404
                assert (await answer(proxy, "/healthz"))[0] == 200
            _, metrics = await answer(admin, "/metrics")
            assert 'tfleet_proxy_requests_total{route="/",status="200"} 5.0' in metrics
            status, document = await answer(admin, "/workers")
            assert (status, len(document["workers"])) == (200, 1)


async def test_a_page_does_not_wait_for_a_stopped_parent() -> None:
    async with fake_worker() as worker:
        with together(*static(worker)) as running:
            proxy = await address_of(running)
            os.kill(running.process.pid, signal.SIGSTOP)
            try:
                async with asyncio.timeout(20):  # of the 60 s of --timeout
                    assert (await answer(proxy, "/healthz"))[0] == 504
            finally:
                os.kill(running.process.pid, signal.SIGCONT)


async def test_a_stopped_proxy_leaves_no_socket() -> None:
    async with fake_worker() as worker:
        with together(*static(worker)) as running:
            await address_of(running)
            (path,) = await asyncio.to_thread(unix_sockets, running.process.pid)
            running.process.terminate()
            assert await asyncio.to_thread(running.process.wait, 20) == 0
            assert not await asyncio.to_thread(path.parent.exists)


def unix_sockets(pid: int) -> list[Path]:
    """The paths on which a process listens."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    found = open_files(pid)
    return [Path(row[7]) for row in rows if len(row) > 7 and row[5] == "01" and f"socket:[{row[6]}]" in found]
