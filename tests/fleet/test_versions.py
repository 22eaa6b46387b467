"""Versions of a model under a steady load: planned shares, no request lost, no answer of another version."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.either_registry import REGISTRIES, either_registry
from tests.support.embedded_registry import embedded_registry
from tests.support.fleet_processes import Fleet
from tests.support.rollouts import Plans, plan_of, versions_fleet
from tests.support.version_load import VersionLoad
from tests.support.waiting import eventually
from tfleet.client import AsyncFleetClient
from tfleet.contract.address import Address
from tfleet.discovery.plan import Canary, Plan, promoted, rolled_back

RATE = 250.0
STAGE = 500
"""Requests in each stage."""


@pytest.fixture
def embedded() -> Iterator[Address]:
    with embedded_registry() as address:
        yield address


@pytest.mark.parametrize("kind", REGISTRIES)
async def test_a_rollout_loses_no_request(kind: str, tmp_path: Path) -> None:
    with either_registry(kind) as registry:
        async with versions_fleet(registry, tmp_path) as (running, plans):
            await _roll_out(running, plans)


async def _roll_out(running: Fleet, plans: Plans) -> None:
    async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
        assert (await load.next(STAGE)).versions.keys() == {"1"}, "most workers have it"
        plan = Plan("1")
        for percent in (10.0, 50.0, 100.0):
            plan = Plan("1", Canary("2", percent))
            await plans.write(plan)
            assert abs((await load.next(STAGE)).percent("2") - percent) < 2
        plan = promoted(plan)
        await plans.write(plan)
        assert (await load.next(STAGE)).versions.keys() == {"2"}
        await plans.write(rolled_back(plan))
        assert (await load.next(STAGE)).versions.keys() == {"1"}
    assert load.answers.failures == []


async def test_a_canary_that_loses_workers_is_rolled_back(embedded: Address, tmp_path: Path) -> None:
    async with versions_fleet(embedded, tmp_path) as (running, plans):
        await plans.write(Plan("1", Canary("2", 50.0)))
        async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
            assert (await load.next(STAGE // 2)).versions.keys() == {"1", "2"}
            running.workers[2].process.kill()
            await running.ready(2)
            assert (await load.next(STAGE // 2)).versions.keys() == {"1"}, "it stands in"
            running.add_worker("--model", str(tmp_path / "m" / "2"))
            await running.ready(3)
            assert (await load.next(STAGE // 2)).versions.keys() == {"1", "2"}
            running.workers[3].process.kill()
            plan = await eventually(lambda: plan_of(running.proxy), wanted=lambda plan: "canary" not in plan)
            assert plan["reason"] == "2 of its workers were lost"
        assert load.answers.failures == []
        async with aiohttp.ClientSession() as session:
            url = f"{running.proxy.url}/models/m/versions/2/predict"
            async with session.post(url, json={"x": 1}) as answer:
                assert answer.status in {404, 503}, "nobody else answers for it"


async def test_named_versions_are_answered_by_no_other(embedded: Address, tmp_path: Path) -> None:
    async with versions_fleet(embedded, tmp_path) as (running, plans):
        await plans.write(Plan("1", Canary("2", 10.0), labels={"old": "1"}))
        async with aiohttp.ClientSession() as session:
            for path, version in (
                ("versions/2", 2),
                ("versions/1", 1),
                ("labels/old", 1),
                ("labels/canary", 2),
            ):
                url = f"{running.proxy.url}/models/m/{path}/predict"
                answers = await asyncio.gather(*[_answered(session, url, number) for number in range(20)])
                assert answers == [number * version for number in range(20)]
        for named, label, version in (("2", None, 2), (None, "old", 1), (None, None, 1)):
            async with AsyncFleetClient(running.proxy.url, model="m", version=named, label=label) as client:
                answer = await client.predict({"x": 3})
                assert (answer.outputs, answer.model) == ({"y": 3.0 * version}, f"m/{version}")


async def _answered(session: aiohttp.ClientSession, url: str, number: int) -> float:
    async with session.post(url, json={"x": number}) as answer:
        found: float = (await answer.json())["outputs"]["y"]
        return found
