"""Rollouts while something fails: no request is lost, and the plan is followed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.canned_server import nobody
from tests.support.crashing_canary import crashing_canary
from tests.support.embedded_registry import embedded_registry
from tests.support.rollouts import add_second_proxy, plan_of, versions_fleet
from tests.support.version_load import ClientLoad, VersionLoad
from tests.support.waiting import eventually
from tfleet.client import AsyncFleetClient
from tfleet.contract.address import Address
from tfleet.discovery.plan import Canary, Plan, promoted

RATE = 250.0
STAGE = 500
"""Requests in each stage."""


@pytest.fixture
def registry() -> Iterator[Address]:
    with embedded_registry() as address:
        yield address


async def test_a_canary_that_crashes_is_rolled_back(registry: Address, tmp_path: Path) -> None:
    """Two workers, each of which ends at its 20th request and comes back on its old port."""
    with ExitStack() as stack:
        async with versions_fleet(registry, tmp_path, workers=("1", "1")) as (running, plans):
            canaries = [stack.enter_context(crashing_canary(registry)) for _ in range(2)]
            await running.ready(4)
            async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
                await plans.write(Plan("1", Canary("2", 50.0)))
                plan = await eventually(
                    lambda: plan_of(running.proxy), wanted=lambda plan: "canary" not in plan
                )
                assert (await load.next(STAGE // 2)).versions.keys() == {"1"}
            assert load.answers.failures == []
            assert plan["reason"].endswith("of its workers were lost")
            assert sum(canary.exits for canary in canaries) >= 2


async def test_a_canary_that_crashes_costs_p2p_clients_nothing(registry: Address, tmp_path: Path) -> None:
    """The proxy sees no requests, and the new worker takes the port of the old one."""
    async with versions_fleet(registry, tmp_path, "--mode", "p2p", workers=("1",)) as (running, plans):
        with crashing_canary(registry) as canary:
            await running.ready(2)
            client = AsyncFleetClient(running.proxy.url, p2p=True)
            async with client, ClientLoad(client, rate=RATE) as load:
                await plans.write(Plan("1", Canary("2", 50.0)))
                plan = await eventually(
                    lambda: plan_of(running.proxy), wanted=lambda plan: "canary" not in plan, timeout_s=60
                )
                await load.next(STAGE // 2)
            assert load.answers.failures == []
            assert plan["reason"].endswith("of its workers were lost")
            assert canary.exits >= 2


async def test_stopping_the_canarys_workers_rolls_nothing_back(registry: Address, tmp_path: Path) -> None:
    async with versions_fleet(registry, tmp_path, workers=("1", "2", "2")) as (running, plans):
        await plans.write(Plan("1", Canary("2", 50.0)))
        async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
            for stopped in running.workers[1:]:
                stopped.process.terminate()
            for stopped in running.workers[1:]:
                assert await asyncio.to_thread(stopped.process.wait, 30) == 0
            # Two looks of whoever rolls back.
            assert (await load.next(STAGE)).versions.keys() == {"1"}
        assert load.answers.failures == []
        assert (await plan_of(running.proxy))["canary"] == "2"


async def test_killing_one_of_two_proxies_loses_nothing(registry: Address, tmp_path: Path) -> None:
    async with versions_fleet(registry, tmp_path, workers=("1", "2")) as (running, plans):
        one, two = running.proxy, nobody()
        await add_second_proxy(running, plans, two)
        plan = Plan("1", Canary("2", 50.0))
        await plans.write(plan)
        client = AsyncFleetClient([one.url, two.url])
        async with client, ClientLoad(client, rate=RATE) as load:
            assert abs((await load.next(STAGE // 2)).percent("2") - 50) < 2
            running.proxy_process.kill()
            assert abs((await load.next(STAGE // 2)).percent("2") - 50) < 2
            plans.proxies.remove(one)
            await plans.write(plan := promoted(plan))
            assert (await load.next(STAGE // 2)).versions.keys() == {"2"}
        assert load.answers.failures == []
