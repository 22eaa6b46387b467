"""Rollouts by the plan, through a forwarding proxy: shares, faults, sessions, several models."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from benchmarks.rollout.recorder import Recorder
from benchmarks.rollout.registries import fragile_registry, registry
from tests.support.canned_server import nobody
from tests.support.crashing_canary import FAILS_AT, crashing_canary
from tests.support.fleet_processes import fleet
from tests.support.rollouts import add_second_proxy, plan_of, versions_fleet, write_versions
from tests.support.version_load import ClientLoad, StickyLoad, VersionLoad
from tests.support.waiting import eventually
from tfleet.client import AsyncFleetClient
from tfleet.discovery.plan import Canary, Plan, promoted, rolled_back, rolled_out

RATE: Final = 250.0
_HALF: Final = {"1": 50.0, "2": 50.0}
_SESSIONS: Final = 200


async def rollout(kind: str, folder: Path, record: Recorder) -> None:
    """10, 50 and 100 %, promotion, rollback."""
    with registry(kind) as address:
        async with versions_fleet(address, folder) as (running, plans):
            async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
                plan = Plan("1")
                for percent in (10.0, 50.0, 100.0):
                    plan = Plan("1", Canary("2", percent))
                    await plans.write(plan)
                    wanted = {"1": 100 - percent, "2": percent}
                    await record.stage(f"{percent:g} %", load, wanted, requests=record.requests)
                await plans.write(plan := promoted(plan))
                await record.stage("promoted", load, {"2": 100.0}, requests=record.requests)
                await plans.write(rolled_back(plan))
                await record.stage("rolled back", load, {"1": 100.0}, requests=record.requests)


async def crash(kind: str, folder: Path, record: Recorder) -> None:
    """A canary of two workers at 50 %, each of which ends at its 20th request and comes back."""
    with registry(kind) as address, ExitStack() as stack:
        async with versions_fleet(address, folder, workers=("1", "1")) as (running, plans):
            canaries = [stack.enter_context(crashing_canary(address)) for _ in range(2)]
            await running.ready(4)
            # Before the load: without a plan the higher of two versions with as many workers serves.
            await plans.write(Plan("1", Canary("2", 50.0)))
            async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
                began_s = time.monotonic()
                proxy, name = running.proxy, f"canary crashes at request {FAILS_AT}"

                async def end() -> tuple[str, float]:
                    plan = await eventually(lambda: plan_of(proxy), wanted=lambda plan: "canary" not in plan)
                    return plan["reason"], time.monotonic()

                stage, (reason, end_s) = await asyncio.gather(
                    record.stage(name, load, requests=record.requests), end()
                )
            exits = sum(canary.exits for canary in canaries)
            note = f"rolled back after {end_s - began_s:.1f} s and {exits} exits: {reason}"
            record.amend(replace(stage, note=note))


async def lost_worker(kind: str, folder: Path, record: Recorder) -> None:
    """The canary's only worker is killed; another one follows."""
    with registry(kind) as address:
        async with versions_fleet(address, folder) as (running, plans):
            await plans.write(Plan("1", Canary("2", 50.0)))
            async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
                running.workers[2].process.kill()
                await running.ready(2)
                await record.stage("canary's only worker killed", load, {"1": 100.0})
                running.add_worker("--model", str(folder / "m" / "2"))
                await running.ready(3)
                await record.stage("another one started", load, _HALF)


async def lost_proxy(kind: str, folder: Path, record: Recorder) -> None:
    """One of two proxies is killed; the client knows both."""
    with registry(kind) as address:
        async with versions_fleet(address, folder, workers=("1", "2")) as (running, plans):
            one, two = running.proxy, nobody()
            await add_second_proxy(running, plans, two)
            await plans.write(Plan("1", Canary("2", 50.0)))
            client = AsyncFleetClient([one.url, two.url])
            async with client, ClientLoad(client, rate=RATE) as load:
                await load.next(record.requests // 10)
                running.proxy_process.kill()
                plans.proxies.remove(one)
                await record.stage("one of two proxies killed", load, _HALF)
                await plans.write(Plan("1", Canary("2", 80.0)))
                await record.stage("80 % at the other one", load, {"1": 20.0, "2": 80.0})


async def lost_registry(kind: str, folder: Path, record: Recorder) -> None:
    """The registry has a fault in the middle of a rollout."""
    async with fragile_registry(kind) as fragile:
        async with versions_fleet(fragile.address, folder, workers=("1", "2")) as (running, plans):
            await plans.write(Plan("1", Canary("2", 10.0)))
            async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
                await fragile.strike()
                await record.stage(f"10 %: {fragile.fault}", load, {"1": 90.0, "2": 10.0})
                await plans.write(Plan("1", Canary("2", 50.0)))
                await record.stage("50 % after that", load, _HALF)


async def second_canary(kind: str, folder: Path, record: Recorder) -> None:
    """After a rollback another version is the canary."""
    with registry(kind) as address:
        async with versions_fleet(address, folder, workers=("1", "2", "3")) as (running, plans):
            async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
                plan = Plan("1", Canary("2", 50.0))
                await plans.write(plan)
                await load.next(record.requests // 10)
                await plans.write(plan := rolled_back(plan))
                await plans.write(plan := rolled_out(plan, Canary("3", 50.0), stable="1"))
                await record.stage("50 % of version 3", load, {"1": 50.0, "3": 50.0})
                await plans.write(promoted(plan))
                await record.stage("version 3 promoted", load, {"3": 100.0})


async def sessions(kind: str, folder: Path, record: Recorder) -> None:
    """Sessions by a header, while the share grows."""
    with registry(kind) as address:
        async with versions_fleet(address, folder, workers=("1", "2")) as (running, plans):
            sticky = f"header:{StickyLoad.HEADER}"
            # Before the load: without a plan the higher of two versions serves.
            await plans.write(Plan("1", sticky=sticky))
            load = StickyLoad(f"{running.proxy.url}/predict", rate=RATE, sessions=_SESSIONS)
            async with load:
                for percent in (10.0, 50.0, 100.0):
                    await plans.write(Plan("1", Canary("2", percent), sticky=sticky))
                    stage = await record.stage(f"{_SESSIONS} sessions, {percent:g} %", load)
                    now = {each: seen[-1] for each, seen in load.seen.items()}
                    share = 100 * sum(version == "2" for version in now.values()) / len(now)
                    back = sum(sum(one > two for one, two in pairwise(seen)) for seen in load.seen.values())
                    note = f"{share:.0f} % of the sessions have the canary"
                    record.amend(
                        replace(stage, note=note, broken=f"{back} sessions changed back" if back else "")
                    )


async def two_models(kind: str, folder: Path, record: Recorder) -> None:
    """Two models in one registry, each asked by its name at the same time."""
    (m,) = write_versions(folder, "2")
    (n,) = write_versions(folder, "3", model="n")
    with registry(kind) as address:
        async with fleet(f"consul://{address}", m, "--slow-start", "0", workers=1) as running:
            running.add_worker("--model", str(n))
            await running.ready(2)
            url = f"{running.proxy.url}/models"
            one = VersionLoad(f"{url}/m/predict", rate=RATE / 2)
            two = VersionLoad(f"{url}/n/predict", rate=RATE / 2, model="n")
            async with one, two:
                await asyncio.gather(
                    record.stage("model m beside n", one, {"2": 100.0}),
                    record.stage("model n beside m", two, {"3": 100.0}),
                )
