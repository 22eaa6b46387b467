"""What a user of `tfleet proxy --listeners 2` sees, in real processes."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.canned import nobody
from tests.environment import users_environment
from tests.proxy.listeners.scene import Together, together
from tests.proxy.stand_in import StandIn, stand_in
from tests.proxy.test_membership import listed
from tests.proxy.test_service import ready, register, workers
from tests.waiting import eventually
from tfleet.discovery.address import Address

REQUESTS = 40
_LISTEN = "0A"
_ANSWERED = re.compile(r'^tfleet_proxy_requests_total\{route="/",status="200"\} ([\d.]+)$', re.MULTILINE)
_SECONDS = re.compile(r'^tfleet_proxy_request_seconds_count\{route="/"\} ([\d.]+)$', re.MULTILINE)


async def get(url: str) -> str:
    """Over a connection of its own, so that either of the listeners may get it."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.text()


async def metrics(proxy: Address) -> str:
    return await get(f"{proxy.url}/metrics")


async def count(pattern: re.Pattern[str], proxy: Address) -> float:
    found = pattern.search(await metrics(proxy))
    return float(found[1]) if found else 0.0


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


def static(worker: StandIn) -> tuple[str, str]:
    return "--registry", f"static:{worker.address}"


async def test_figures_are_those_of_all_and_outlive_one_that_is_killed() -> None:
    async with stand_in() as worker:
        with together(*static(worker), "--retry-floor", "1000") as running:
            proxy = await address_of(running)
            first = await pids(running)
            await post(proxy, REQUESTS)
            assert {await count(_ANSWERED, proxy) for _ in range(6)} == {REQUESTS}, "whoever is asked"
            assert await count(_SECONDS, proxy) == REQUESTS
            assert 'tfleet_proxy_workers{state="ready"} 1.0' in await metrics(proxy), "both see the same one"
            os.kill(first[0], signal.SIGKILL)
            await lines(running, "listener ended: starting it again")
            await post(proxy, REQUESTS)
            assert await count(_ANSWERED, proxy) == 2 * REQUESTS, "the other one serves on"
            await lines(running, "listener started", 3)
            second = await pids(running)
            assert len(set(first) & set(second)) == 1
            await post(proxy, REQUESTS)
            assert await count(_ANSWERED, proxy) == 3 * REQUESTS
            assert "tfleet_proxy_listener_restarts_total 1.0" in await metrics(proxy)


async def test_what_workers_have_in_flight_is_that_of_all_listeners() -> None:
    release = asyncio.Event()

    async def hold(_: Any) -> Any:
        await release.wait()
        raise aiohttp.web.HTTPOk

    async with stand_in() as worker, asyncio.TaskGroup() as group:
        worker.answer = hold
        with together(*static(worker)) as running:
            proxy = await address_of(running)
            held = [group.create_task(post(proxy, 1)) for _ in range(12)]
            (row,) = await eventually(
                lambda: workers(proxy), wanted=lambda rows: rows[0]["in_flight"] == len(held)
            )
            assert row["state"] == "ready"
            release.set()
            await asyncio.wait(held)


async def test_it_is_registered_once_and_its_registry_outlives_a_listener() -> None:
    registry = nobody()
    async with stand_in() as worker:
        with together("--registry-port", str(registry.port)) as running:
            proxy = await address_of(running)
            await register(registry, worker.address)
            (row,) = await eventually(lambda: listed(registry))
            assert (row["Address"], row["Port"]) == (proxy.host, proxy.port)
            async with aiohttp.ClientSession() as session:
                for _ in range(8):
                    async with session.get(f"{proxy.url}/readyz", headers={"Connection": "close"}) as answer:
                        assert answer.headers["X-Proxy"] == row["ID"], "each of them knows its name"
            (victim, _) = await pids(running)
            os.kill(victim, signal.SIGKILL)
            await lines(running, "listener started", 3)
            assert "listener_restarts_total 1.0" in await metrics(proxy)
            assert [one["ID"] for one in await listed(registry)] == [row["ID"]]
            await register(registry, worker.address, worker_id="w2")
            await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 2))
            running.process.terminate()
            assert await asyncio.to_thread(running.process.wait, 20) == 0
            assert len(running.lines("registered")) == len(running.lines("deregistered")) == 1


async def test_one_that_is_started_again_serves_at_once_be_the_registry_away() -> None:
    registry = nobody()
    async with stand_in() as worker:
        with together("--registry-port", str(registry.port)) as host:
            await address_of(host)
            with together("--registry", f"consul://{registry}") as running:
                proxy = await address_of(running)
                await register(registry, worker.address)
                await eventually(lambda: workers(proxy), wanted=ready)
                await eventually(lambda: listed(registry))
                host.process.kill()  # its listeners notice, and end
                await pids(host, 0)
                for number, victim in enumerate(await pids(running), 1):
                    os.kill(victim, signal.SIGKILL)
                    await lines(running, "listener ended: starting it again", number)
                    await lines(running, "listener started", 2 + number)
                    await eventually(
                        lambda: asyncio.to_thread(listening, proxy), wanted=lambda found: found == 2
                    )
                await post(proxy, REQUESTS)


def listening(proxy: Address) -> int:
    """How many sockets listen there."""
    here = f":{proxy.port:04X} 00000000:0000 {_LISTEN} "
    return Path("/proc/net/tcp").read_text().count(here)


@pytest.mark.parametrize("count", ["1", "2"])
async def test_its_port_is_refused_to_another_proxy_in_one_line(count: str) -> None:
    async with stand_in() as worker:
        with together(*static(worker)) as running:
            proxy = await address_of(running)
            command = ["proxy", "--listeners", count, "--port", str(proxy.port), *static(worker)]
            second = await asyncio.to_thread(run, *command)
            assert second.returncode == 2
            refusal = f"tfleet proxy: can't listen on {proxy}: Address already in use; see --port\n"
            assert second.stderr.endswith(refusal)
            assert "Traceback" not in second.stderr


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tfleet", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=users_environment(),
    )


async def test_a_second_signal_ends_all_of_them_now() -> None:
    arrived = asyncio.Event()

    async def never(_: Any) -> Any:
        arrived.set()
        await asyncio.Event().wait()

    async with stand_in() as worker:
        worker.answer = never
        with together(*static(worker)) as running:
            proxy = await address_of(running)
            await pids(running)
            held = asyncio.ensure_future(post(proxy, 1))
            await arrived.wait()
            os.killpg(running.process.pid, signal.SIGINT)  # as the terminal does
            await lines(running, "proxy draining", 2)
            assert running.process.poll() is None, "it waits for what was begun"
            began_s = time.monotonic()
            os.killpg(running.process.pid, signal.SIGINT)
            assert await asyncio.to_thread(running.process.wait, 20) == 128 + signal.SIGINT
            assert time.monotonic() - began_s < 2
            await pids(running, 0)
            with pytest.raises(aiohttp.ClientError):
                await held
            assert "Traceback" not in running.text()


async def test_listeners_whose_parent_is_killed_finish_and_end() -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def hold(_: Any) -> Any:
        arrived.set()
        await release.wait()
        raise aiohttp.web.HTTPOk

    async with stand_in() as worker:
        worker.answer = hold
        with together(*static(worker)) as running:
            proxy = await address_of(running)
            left = await pids(running)
            held = asyncio.ensure_future(post(proxy, 1))
            await arrived.wait()
            running.process.kill()
            await lines(running, "proxy draining", 2)
            release.set()
            await held
            for pid in left:
                await eventually(lambda pid=pid: asyncio.to_thread(ended, pid))  # type: ignore[misc] # bound


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_clients_beyond_the_limit_of_all_are_told_so() -> None:
    async with stand_in() as worker:
        with together(*static(worker), "--max-connections", "2") as running:
            proxy = await address_of(running)
            statuses, writers = [], []
            for _ in range(32):
                reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
                writers.append(writer)
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                statuses.append((await reader.readline()).split()[1])
            assert statuses.count(b"200") == 2
            assert statuses.count(b"503") == 30
            for writer in writers:
                writer.close()


async def test_more_listeners_than_cpus_is_a_warning() -> None:
    async with stand_in() as worker:
        with together(*static(worker), listeners=len(os.sched_getaffinity(0)) + 1) as running:
            await address_of(running)
            (warning,) = [one for one in running.text().splitlines() if "--listeners" in one]
            assert "CPUs" in warning
