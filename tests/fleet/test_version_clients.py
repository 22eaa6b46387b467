"""Which versions clients get while they change: by name, by session, by a second canary, and in p2p mode."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest

from tests.support.canned_server import nobody
from tests.support.embedded_registry import embedded_registry
from tests.support.fleet_processes import fleet
from tests.support.rollouts import add_second_proxy, set_default, versions_fleet, write_versions
from tests.support.version_load import ClientLoad, StickyLoad, TwoStepLoad, VersionLoad
from tests.support.waiting import eventually
from tfleet.client import AsyncFleetClient, FleetError
from tfleet.contract.address import Address
from tfleet.discovery.plan import Canary, Plan, promoted, rolled_back, rolled_out

RATE = 250.0
SESSIONS = 200


@pytest.fixture
def registry() -> Iterator[Address]:
    with embedded_registry() as address:
        yield address


async def test_a_second_canary_gets_the_share(registry: Address, tmp_path: Path) -> None:
    async with versions_fleet(registry, tmp_path, workers=("1", "2", "3")) as (running, plans):
        async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
            plan = Plan("1", Canary("2", 50.0))
            await plans.write(plan)
            assert (await load.next(100)).versions.keys() == {"1", "2"}
            await plans.write(plan := rolled_back(plan))
            assert (await load.next(100)).versions.keys() == {"1"}
            await plans.write(plan := rolled_out(plan, Canary("3", 50.0), stable="1"))
            assert (await load.next(300)).versions.keys() == {"1", "3"}
            assert abs(load.answers.percent("3") - 50) < 2
            await plans.write(plan := promoted(plan))
            assert (await load.next(100)).versions.keys() == {"3"}
            await plans.write(rolled_back(plan))
            assert (await load.next(100)).versions.keys() == {"1"}
        assert load.answers.failures == []


async def test_sessions_stay_while_the_share_grows(registry: Address, tmp_path: Path) -> None:
    """At each proxy alike: a session changes once, to the canary."""
    async with versions_fleet(registry, tmp_path, workers=("1", "2")) as (running, plans):
        other = nobody()
        await add_second_proxy(running, plans, other)
        sticky = f"header:{StickyLoad.HEADER}"
        await plans.write(Plan("1", Canary("2", 10.0), sticky=sticky))
        one, two = (
            StickyLoad(f"{proxy.url}/predict", rate=RATE / 2, sessions=SESSIONS)
            for proxy in (running.proxy, other)
        )
        async with one, two:
            shares = []
            for percent in (10.0, 50.0, 100.0):
                await plans.write(Plan("1", Canary("2", percent), sticky=sticky))
                one.seen.clear()
                two.seen.clear()
                for load in (one, two):
                    await load.next(SESSIONS + 50)
                assert {each: seen[-1] for each, seen in one.seen.items()} == {
                    each: seen[-1] for each, seen in two.seen.items()
                }
                shares.append({each for each, seen in one.seen.items() if seen[-1] == "2"})
        assert one.answers.failures + two.answers.failures == []
        assert all(smaller < larger for smaller, larger in pairwise(shares))
        assert [len(found) / SESSIONS for found in shares] == pytest.approx([0.1, 0.5, 1], abs=0.1)


async def test_p2p_clients_with_old_addresses_lose_nothing(registry: Address, tmp_path: Path) -> None:
    workers = ("1", "1", "2", "2")
    async with versions_fleet(registry, tmp_path, "--mode", "p2p", workers=workers) as (running, plans):
        plan = Plan("1", Canary("2", 20.0))
        await plans.write(plan)
        client = AsyncFleetClient(running.proxy.url, p2p=True)
        two_step = TwoStepLoad(running.proxy.url, rate=RATE / 5)
        async with client, ClientLoad(client, rate=RATE) as load, two_step:
            assert abs((await load.next(750)).percent("2") - 20) < 7, "a choice by weights, at random"
            await plans.write(promoted(plan))
            assert two_step.answers.versions["1"] > 0
            for old in running.workers[:2]:
                old.process.terminate()
            await running.ready(2)
            await load.next(250)
            assert (await load.next(250)).versions.keys() == {"2"}
            assert (await two_step.next(50)).versions.keys() == {"2"}
        assert load.answers.failures == []
        assert two_step.answers.failures == []
        assert two_step.told > 0


async def test_no_worker_answers_for_another_version(registry: Address, tmp_path: Path) -> None:
    """Not even one whose address a client has for another version."""
    async with versions_fleet(registry, tmp_path, "--mode", "p2p", workers=("1", "2")) as (running, _):
        one, two = (worker.address() for worker in running.workers)
        async with aiohttp.ClientSession() as session:
            for address, version, status in ((one, 1, 200), (one, 2, 404), (two, 2, 200), (two, 1, 404)):
                url = f"{address.url}/models/m/versions/{version}/predict"
                async with session.post(url, json={"x": 1}) as answer:
                    assert answer.status == status, await answer.text()
        async with AsyncFleetClient(running.proxy.url, p2p=True, model="m", version="1") as client:
            assert (await client.predict({"x": 3})).model == "m/1"
            leaving = running.workers[0].process
            leaving.terminate()
            await asyncio.to_thread(leaving.wait, 30)
            with pytest.raises(FleetError):
                await client.predict({"x": 3})


async def test_two_models_never_mix(registry: Address, tmp_path: Path) -> None:
    (m,) = write_versions(tmp_path, "2")
    (n,) = write_versions(tmp_path, "3", model="n")
    async with fleet(f"consul://{registry}", m, "--slow-start", "0", workers=1) as running:
        running.add_worker("--model", str(n))
        await running.ready(2)
        url = running.proxy.url
        one, two = (
            VersionLoad(f"{url}/models/{model}/predict", rate=RATE / 3, model=model) for model in "mn"
        )
        client = AsyncFleetClient(url, p2p=True, model="n")
        async with client, ClientLoad(client, rate=RATE / 3, model="n") as direct, one, two:
            for load in (one, two, direct):
                await load.next(250)
            async with one.session.post(f"{url}/predict", json={"x": 1}) as answer:
                assert answer.status == 400
                assert "m, n" in (await answer.json())["detail"]
            await set_default(registry, "n")

            async def default() -> str:
                async with one.session.post(f"{url}/predict", json={"x": 1}) as answer:
                    return answer.headers.get("X-Model", "")

            await eventually(default, wanted="n/3".__eq__)
        for load, version in ((one, "2"), (two, "3"), (direct, "3")):
            assert load.answers.failures == []
            assert load.answers.versions.keys() == {version}
