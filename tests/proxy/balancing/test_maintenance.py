"""Consul's maintenance mode is a drain, of a service or of its node: with both registries."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from aiohttp import web

from tests.support.either_registry import REGISTRIES, either_registry
from tests.support.fake_worker import FakeWorker, fake_worker, settings
from tests.support.registered_workers import ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.settings import Mode

pytestmark = pytest.mark.process


WITHIN_S = 1.0


@pytest.fixture(params=REGISTRIES)
def registry(request: pytest.FixtureRequest) -> Iterator[Address]:
    with either_registry(request.param) as address:
        yield address


async def maintain(registry: Address, worker_id: str | None, *, enable: bool, reason: str = "") -> None:
    """Of the worker, or of the node."""
    path = "maintenance" if worker_id is None else f"service/maintenance/{worker_id}"
    query = {"enable": str(enable).lower(), "reason": reason}
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{registry.url}/v1/agent/{path}", params=query) as answer:
            assert answer.status == 200


@contextlib.asynccontextmanager
async def fleet(
    registry: Address, mode: Mode = "forward"
) -> AsyncIterator[tuple[Address, dict[str, FakeWorker]]]:
    """A proxy with two workers."""
    async with fake_worker() as one, fake_worker() as other:
        async with single_process_proxy(
            settings(mode=mode, slow_start_s=0, registry=ConsulRegistry(registry))
        ) as proxy:
            known = {"w1": one, "w2": other}
            for name, worker in known.items():
                worker.name = name
                await register(registry, worker.address, worker_id=name)
            await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 2))
            yield proxy, known


async def asked(proxy: Address, times: int = 20) -> dict[str, int]:
    """Who answered how many of so many images."""
    by: dict[str, int] = {}
    async with aiohttp.ClientSession() as session:
        for _ in range(times):
            async with session.post(f"{proxy.url}/", data=b"image") as answer:
                assert answer.status == 200
                by[answer.headers["X-Worker"]] = by.get(answer.headers["X-Worker"], 0) + 1
    return by


async def row(proxy: Address, worker_id: str) -> dict[str, object]:
    return {one["id"]: one for one in await workers(proxy)}[worker_id]


async def test_a_worker_serves_again_after_its_maintenance(registry: Address) -> None:
    async with fleet(registry) as (proxy, _):
        assert (await asked(proxy)).keys() == {"w1", "w2"}
        await maintain(registry, "w1", enable=True, reason="new disk")
        await asyncio.sleep(WITHIN_S)  # what is promised is a time
        assert await asked(proxy) == {"w2": 20}
        shown = await row(proxy, "w1")
        assert (shown["state"], shown["last_error"]) == ("draining", "maintenance: new disk")
        assert (shown["listed"], shown["weight"]) == (True, 0)
        began_s = time.monotonic()
        await maintain(registry, "w1", enable=False)
        await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 2))
        assert time.monotonic() - began_s < 3
        assert (await asked(proxy)).keys() == {"w1", "w2"}


async def test_a_node_in_maintenance_takes_all_its_workers_out(registry: Address) -> None:
    async with fleet(registry) as (proxy, _):
        await maintain(registry, None, enable=True)
        await asyncio.sleep(WITHIN_S)
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{proxy.url}/", data=b"image") as answer:
                assert answer.status == 503
        assert (await row(proxy, "w2"))["last_error"] == "maintenance"
        await maintain(registry, None, enable=False)
        await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 2))


async def test_lookups_and_leases_skip_workers_in_maintenance(registry: Address) -> None:
    async with fleet(registry, "p2p") as (proxy, known), aiohttp.ClientSession() as session:
        await maintain(registry, "w1", enable=True)
        await asyncio.sleep(WITHIN_S)
        for _ in range(10):
            async with session.get(f"{proxy.url}/worker") as answer:
                assert answer.headers["X-Worker"] == "w2"
            async with session.get(f"{proxy.url}/worker?n=8") as answer:
                text = await answer.text()
                assert str(known["w2"].address) in text
                assert str(known["w1"].address) not in text


async def test_requests_under_way_are_finished(registry: Address) -> None:
    async with fleet(registry) as (proxy, known), aiohttp.ClientSession() as session:
        begun, end = asyncio.Event(), asyncio.Event()

        async def slow(request: web.Request) -> web.StreamResponse:
            begun.set()
            await end.wait()
            return web.Response(text="done", headers={"X-Worker": "w1"})

        known["w1"].answer = slow
        known["w2"].answer = slow
        posting = asyncio.ensure_future(session.post(f"{proxy.url}/", data=b"image"))
        await begun.wait()
        for name in known:
            await maintain(registry, name, enable=True)
        await eventually(
            lambda: workers(proxy), wanted=lambda rows: [one["state"] for one in rows] == ["draining"] * 2
        )
        end.set()
        async with await posting as answer:
            assert (answer.status, await answer.text()) == (200, "done")


async def test_a_new_proxy_sees_maintenance_at_once(registry: Address) -> None:
    async with fleet(registry):
        await maintain(registry, "w1", enable=True, reason="x")
        async with single_process_proxy(settings(registry=ConsulRegistry(registry))) as second:
            await eventually(lambda: workers(second), wanted=lambda rows: len(rows) == 2)
            await eventually(lambda: row(second, "w2"), wanted=lambda shown: shown["state"] == "ready")
            shown = await row(second, "w1")
            assert (shown["state"], shown["last_error"]) == ("draining", "maintenance: x")
            assert await asked(second) == {"w2": 20}


async def test_a_worker_that_deregisters_in_maintenance_gets_nothing(registry: Address) -> None:
    async with fleet(registry) as (proxy, _):
        await maintain(registry, "w1", enable=True)
        await eventually(lambda: row(proxy, "w1"), wanted=lambda shown: shown["state"] == "draining")
        async with aiohttp.ClientSession() as session:
            url = f"{registry.url}/v1/agent/service/deregister/w1"
            async with session.put(url) as answer:
                assert answer.status == 200
        # It answers still, so it stays, and gets nothing still.
        await eventually(lambda: row(proxy, "w1"), wanted=lambda shown: shown["listed"] is False)
        assert await asked(proxy) == {"w2": 20}
