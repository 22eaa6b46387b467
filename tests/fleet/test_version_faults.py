"""Rollouts while something fails: no request is lost, and the plan is followed.

The plan is written before the load begins. Without one the canary could serve: it is the higher version.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.canned_server import nobody
from tests.support.crashing_canary import Fault, crashing_canary
from tests.support.either_registry import REGISTRIES, either_registry
from tests.support.fleet_processes import registry_process
from tests.support.registered_workers import listed
from tests.support.rollouts import add_second_proxy, plan_of, versions_fleet
from tests.support.version_load import ClientLoad, VersionLoad
from tests.support.waiting import eventually
from tfleet.client import AsyncFleetClient
from tfleet.contract.address import Address
from tfleet.discovery.plan import Canary, Plan, promoted

RATE = 250.0
STAGE = 500
"""Requests in each stage."""

MAX_ERRORS = 50
"""Five errors in a row eject a worker, and the proxy looks once a second whether to roll back."""


@pytest.fixture
def registry(request: pytest.FixtureRequest) -> Iterator[Address]:
    """The embedded one, or both in turn for tests that say so."""
    with either_registry(getattr(request, "param", "embedded")) as address:
        yield address


both_registries = pytest.mark.parametrize("registry", REGISTRIES, indirect=True)


@both_registries
async def test_a_canary_that_crashes_is_rolled_back(registry: Address, tmp_path: Path) -> None:
    """Two workers, each of which ends at its 20th request and comes back on its old port."""
    with ExitStack() as stack:
        async with versions_fleet(registry, tmp_path, workers=("1", "1")) as (running, plans):
            canaries = [stack.enter_context(crashing_canary(registry)) for _ in range(2)]
            await running.ready(4)
            await plans.write(Plan("1", Canary("2", 50.0)))
            async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
                plan = await eventually(
                    lambda: plan_of(running.proxy), wanted=lambda plan: "canary" not in plan
                )
                assert (await load.next(STAGE // 2)).versions.keys() == {"1"}
            assert load.answers.failures == []
            assert plan["reason"].endswith("of its workers were lost")
            assert sum(canary.exits for canary in canaries) >= 2


async def test_a_canary_that_answers_500_is_rolled_back(registry: Address, tmp_path: Path) -> None:
    """Who got a 500 keeps it: it is an answer. The others are answered."""
    async with versions_fleet(registry, tmp_path, workers=("1",)) as (running, plans):
        with crashing_canary(registry, Fault.ANSWER_500) as canary:
            await running.ready(2)
            await plans.write(Plan("1", Canary("2", 50.0)))
            async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
                plan = await eventually(
                    lambda: plan_of(running.proxy), wanted=lambda plan: "canary" not in plan
                )
                assert (await load.next(STAGE // 2)).versions.keys() == {"1"}
            assert all(failure.startswith("500: ") for failure in load.answers.failures)
            reason = re.fullmatch(r"(\d+) of \d+ tries failed, and 0 of \d+ at .*", plan["reason"])
            assert reason is not None, plan["reason"]
            assert 3 <= int(reason[1]) <= len(load.answers.failures) < MAX_ERRORS
            assert canary.exits == 0


async def test_a_canary_that_crashes_costs_p2p_clients_nothing(registry: Address, tmp_path: Path) -> None:
    """The proxy sees no requests, and the new worker takes the port of the old one."""
    async with versions_fleet(registry, tmp_path, "--mode", "p2p", workers=("1",)) as (running, plans):
        with crashing_canary(registry) as canary:
            await running.ready(2)
            client = AsyncFleetClient(running.proxy.url, p2p=True)
            await plans.write(Plan("1", Canary("2", 50.0)))
            async with client, ClientLoad(client, rate=RATE) as load:
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
            assert abs((await load.next(STAGE // 2)).percent("2") - 50) < 5
            running.proxy_process.kill()
            assert abs((await load.next(STAGE // 2)).percent("2") - 50) < 5
            plans.proxies.remove(one)
            await plans.write(plan := promoted(plan))
            assert (await load.next(STAGE // 2)).versions.keys() == {"2"}
        assert load.answers.failures == []


async def test_a_registry_back_without_state_gets_the_plan(tmp_path: Path) -> None:
    """All the time the canary has its share."""
    address = nobody()
    with ExitStack() as stack:
        registry = await asyncio.to_thread(stack.enter_context, registry_process(address))
        async with versions_fleet(address, tmp_path, workers=("1", "2")) as (running, plans):
            plan = Plan("1", Canary("2", 10.0))
            await plans.write(plan)
            async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
                registry.kill()
                assert abs((await load.next(STAGE // 2)).percent("2") - 10) < 2
                await asyncio.to_thread(stack.enter_context, registry_process(address))
                await eventually(plans.stored, wanted=lambda found: found == plan)
                await eventually(lambda: listed(address, "tfleet"), wanted=lambda found: len(found) == 2)
                assert abs((await load.next(STAGE // 2)).percent("2") - 10) < 2
            assert load.answers.failures == []
