"""Rollouts on other ways: p2p clients, and a folder that `tfleet up --models` watches."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.rollout.plan_scenarios import RATE
from benchmarks.rollout.recorder import Recorder
from benchmarks.rollout.registries import EMBEDDED, registry
from tests.support.rollouts import versions_fleet, write_versions
from tests.support.slow_copy import copied_too_early
from tests.support.tfleet_up import Up, up
from tests.support.version_load import ClientLoad, TwoStepLoad, VersionLoad
from tests.support.waiting import eventually
from tfleet.client import AsyncFleetClient
from tfleet.discovery.plan import Canary, Plan, promoted

_P2P_SLACK: Final = 5.0
"""A client chooses by weights, at random: of 500 requests at 20 % the share has a deviation of 1.8 points."""
_SHARE_OF_TWO_STEP: Final = 5
_TAKEN_S: Final = 120.0


async def p2p(kind: str, folder: Path, record: Recorder) -> None:
    """A client with leases and one that keeps a worker's address, while the old version drains."""
    with registry(kind) as address:
        workers = ("1", "1", "2", "2")
        async with versions_fleet(address, folder, "--mode", "p2p", workers=workers) as (running, plans):
            plan = Plan("1", Canary("2", 20.0))
            await plans.write(plan)
            client = AsyncFleetClient(running.proxy.url, p2p=True)
            two_step = TwoStepLoad(running.proxy.url, rate=RATE / _SHARE_OF_TWO_STEP)
            async with client, ClientLoad(client, rate=RATE) as load, two_step:
                wanted = {"1": 80.0, "2": 20.0}
                await record.stage("leases, 20 %", load, wanted, slack=_P2P_SLACK)
                await plans.write(promoted(plan))
                for old in running.workers[:2]:
                    old.process.terminate()
                # The one draws on its lease, the other one on its addresses, until they are told.
                stage = await record.stage("leases, old version drains", load)
                record.amend(replace(stage, note=f"{load.retries} sent again"))
                some = record.half // _SHARE_OF_TWO_STEP
                stage = await record.stage(
                    "kept addresses, after that", two_step, {"2": 100.0}, requests=some
                )
                record.amend(replace(stage, note=f"{two_step.told} times told to ask again"))


async def watched(kind: str, folder: Path, record: Recorder) -> None:
    """A version that is copied slowly, and one that is broken."""
    ready = folder / "ready"
    _, two = write_versions(ready, "1", "2")
    models = folder / "models"
    shutil.copytree(ready / "m" / "1", models / "m" / "1")
    with _up(kind, models) as running:
        async with VersionLoad(f"{running.url}/predict", rate=RATE) as load:

            def taken() -> bool:
                return "m/2 is complete" in running.said

            copy = asyncio.to_thread(copied_too_early, two, models / "m" / "2", taken)
            copying = asyncio.create_task(copy)
            await record.stage("copied slowly", load)
            early = await copying
            await _says(running, "m/1 drains: m/2 has taken over")
            stage = await record.stage("taken over", load, {"2": 100.0})
            record.amend(replace(stage, broken="it was taken before it was whole" if early else ""))
            broken = models / "m" / "3"
            shutil.copytree(two, broken)
            (broken / "saved_model.pb").write_bytes((two / "saved_model.pb").read_bytes()[:100])
            await _says(running, "m/3 can't be used")
            await record.stage("the next one is broken", load, {"2": 100.0})


@contextmanager
def _up(kind: str, models: Path) -> Iterator[Up]:
    if kind == EMBEDDED:
        with up(workers=1, models=models) as running:
            yield running
    else:
        with (
            registry(kind) as address,
            up("--registry", f"consul://{address}", workers=1, models=models) as r,
        ):
            yield r


async def _says(running: Up, text: str) -> None:
    async def said() -> bool:
        return text in running.said

    await eventually(said, timeout_s=_TAKEN_S)
