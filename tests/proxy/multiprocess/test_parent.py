"""What a user of `tfleet proxy --listeners 2` sees, in real processes."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import Any

import aiohttp
import pytest

from tests.support.canned_server import nobody
from tests.support.embedded_registry import embedded_registry
from tests.support.environment import users_environment
from tests.support.fake_worker import fake_worker
from tests.support.proxy_process import (
    address_of,
    get,
    lines,
    listening,
    metrics,
    pids,
    post,
    static,
    together,
)
from tests.support.registered_workers import listed, ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.consul.key_values import ConsulKeyValues
from tfleet.discovery.plan import Plan, dump_plan, plan_key
from tfleet.proxy.multiprocess.parent import too_many_listeners

pytestmark = pytest.mark.process


async def test_a_proxy_registers_once_and_outlives_a_listener() -> None:
    registry = nobody()
    async with fake_worker() as worker:
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


async def test_a_new_listener_has_the_plans_of_a_lost_registry() -> None:
    """Without the plan both versions would be equal, and the higher one would get all requests."""
    async with fake_worker() as old, fake_worker() as new:
        with contextlib.ExitStack() as for_registry:
            registry = for_registry.enter_context(embedded_registry())
            await register(registry, old.address, worker_id="old", version="1")
            await register(registry, new.address, worker_id="new", version="2")
            await write_plan(registry, Plan("1"))
            with together("--registry", f"consul://{registry}") as running:
                proxy = await address_of(running)
                await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 2))
                await eventually(lambda: get(f"{proxy.url}/models"), wanted=lambda page: '"stable"' in page)
                await asyncio.to_thread(for_registry.close)
                for victim in await pids(running):
                    os.kill(victim, signal.SIGKILL)
                await lines(running, "listener started", 4)
                await eventually(lambda: asyncio.to_thread(listening, proxy), wanted=(2).__eq__)
                await post(proxy, 20)
        assert (len(old.seen), len(new.seen)) == (20, 0)


async def write_plan(registry: Address, plan: Plan) -> None:
    store = ConsulKeyValues(registry, wait_s=10)
    try:
        assert await store.put(plan_key("tfleet", "lite0"), dump_plan(plan), cas=0)
    finally:
        await store.close()


async def test_another_proxy_cannot_take_its_port() -> None:
    async with fake_worker() as worker:
        with together(*static(worker)) as running:
            proxy = await address_of(running)
            command = ("proxy", "--port", str(proxy.port), *static(worker), "--listeners")
            refused = await asyncio.gather(*(asyncio.to_thread(run, *command, count) for count in ("1", "2")))
            for second in refused:
                assert second.returncode == 2
                where = f"localhost:{proxy.port}"
                refusal = f"tfleet proxy: can't listen on {where}: Address already in use; see --port\n"
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


async def test_a_second_signal_ends_all_listeners_at_once() -> None:
    arrived = asyncio.Event()

    async def never(_: Any) -> Any:
        arrived.set()
        await asyncio.Event().wait()

    async with fake_worker() as worker:
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
            assert time.monotonic() - began_s < 8, "and not after --drain-timeout"
            await pids(running, 0)
            with pytest.raises(aiohttp.ClientError):
                await held
            assert "Traceback" not in running.text()


async def test_clients_beyond_the_total_limit_get_503() -> None:
    """On each connection a request is arriving: an idle one would give way to a new one."""
    async with fake_worker() as worker:
        with together(*static(worker), "--max-connections", "2") as running:
            proxy = await address_of(running)
            clients = []
            for _ in range(32):
                reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
                writer.write(b"GET /healthz HTTP/1.1\r\n")
                clients.append((reader, writer))
            statuses = []
            for reader, writer in clients:
                writer.write(b"Host: x\r\n\r\n")
                statuses.append((await reader.readline()).split()[1])
            for _, writer in clients:
                writer.close()
            assert statuses.count(b"200") == 2
            assert statuses.count(b"503") == 30


@pytest.mark.parametrize(("count", "cpus", "warned"), [(2, 2, False), (3, 2, True), (2, 1, True)])
def test_more_listeners_than_cpus_is_a_warning(count: int, cpus: int, warned: bool) -> None:
    assert bool(too_many_listeners(count, cpus)) == warned


def test_listeners_without_a_connection_each_are_refused() -> None:
    done = run("proxy", "--listeners", "3", "--max-connections", "2")
    assert done.returncode == 2
    assert "--max-connections 2 is less than --listeners 3" in done.stderr
