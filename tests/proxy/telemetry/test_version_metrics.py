"""A whole proxy counts requests by the version that answered, and those that another version got."""

from __future__ import annotations

import asyncio
import json

import pytest
import requests

from tests.proxy.admin.test_app import get
from tests.proxy.forwarding.test_forwarder import post
from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import fake_worker, settings
from tests.support.registered_workers import ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.plan import Canary, Plan, dump_plan, plan_key
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy

pytestmark = pytest.mark.process


async def counted(proxy: Address, name: str) -> dict[str, float]:
    """The samples of a metric, by their labels."""
    _, text = await get(proxy, "/metrics")
    lines = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
    rows = [line.removeprefix(name).rsplit(" ", 1) for line in lines]
    return {labels: float(value) for labels, value in rows}


def write_plan(registry: Address, plan: Plan) -> None:
    url = f"{registry.url}/v1/kv/{plan_key('tfleet', 'm')}"
    requests.put(url, data=dump_plan(plan), timeout=10).raise_for_status()


async def test_requests_and_fallbacks_are_counted_by_version() -> None:
    with embedded_registry() as registry:
        await asyncio.to_thread(write_plan, registry, Plan("1", Canary("2", 50.0, auto_rollback=False)))
        async with (
            fake_worker() as stable,
            fake_worker() as canary,
            single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy,
        ):
            canary.ready = False
            for name, worker in (("1", stable), ("2", canary)):
                worker.name = name
                await register(registry, worker.address, worker_id=name, model="m", version=name)

            async def known() -> int:
                states = [row["state"] for row in await workers(proxy)]
                return len(states) if "ready" in states else 0

            async def planned() -> str:
                return (await get(proxy, "/models"))[1]

            await eventually(known, wanted=lambda number: number == 2)
            await eventually(planned, wanted=lambda text: '"canary": "2"' in text)
            for _ in range(4):
                assert (await post(proxy, data=b"x"))[0].status == 200
            assert await counted(proxy, "tfleet_proxy_version_requests_total") == {
                '{model="m",status="2xx",version="1"}': 4.0
            }
            assert await counted(proxy, "tfleet_proxy_version_request_seconds_count") == {
                '{model="m",version="1"}': 4.0
            }
            assert await counted(proxy, "tfleet_proxy_version_fallbacks_total") == {
                '{model="m",version="2"}': 2.0
            }
            assert json.loads((await get(proxy, "/workers"))[1])["stand_ins"] == [
                {"model": "m", "version": "2", "percent": 50.0, "stand_in": "1"}
            ]


async def test_a_canary_that_is_rolled_back_is_counted() -> None:
    with embedded_registry() as registry:
        await asyncio.to_thread(write_plan, registry, Plan("1", Canary("2", 50.0)))
        options = settings(registry=ConsulRegistry(registry))
        async with fake_worker() as stable, single_process_proxy(options) as proxy:
            await register(registry, stable.address, worker_id="s", model="m", version="1")
            async with fake_worker() as one, fake_worker() as two:
                for name, worker in (("one", one), ("two", two)):
                    worker.name = name
                    await register(registry, worker.address, worker_id=name, model="m", version="2")
                await eventually(
                    lambda: workers(proxy),
                    wanted=lambda rows: [row["state"] for row in rows] == ["ready"] * 3,
                )

            async def rollbacks() -> dict[str, float]:
                await post(proxy, data=b"x")
                return await counted(proxy, "tfleet_proxy_rollbacks_total")

            found = await eventually(rollbacks, wanted=bool)
            assert found == {'{model="m",version="2"}': 1.0}


async def test_a_request_that_nobody_answers_is_its_last_workers() -> None:
    with embedded_registry() as registry:
        async with single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy:
            async with fake_worker() as worker:
                await register(registry, worker.address, model="m")
                await eventually(lambda: workers(proxy), wanted=ready)
            assert (await post(proxy, data=b"x"))[0].status == 502
            assert await counted(proxy, "tfleet_proxy_version_requests_total") == {
                '{model="m",status="5xx",version="1"}': 1.0
            }
            assert (await post(proxy, data=b"x"))[0].status == 503
            (number,) = (await counted(proxy, "tfleet_proxy_version_requests_total")).values()
            assert number == 1, "no worker was chosen"
