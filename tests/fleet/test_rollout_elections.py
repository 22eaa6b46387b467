"""A rollout while Consul's leader is killed: the plan is kept, and the next one is followed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.rollouts import versions_fleet
from tests.support.three_consuls import three_consuls
from tests.support.version_load import VersionLoad
from tfleet.discovery.plan import Canary, Plan, promoted

RATE = 250.0
STAGE = 500


@pytest.mark.timeout(120)
async def test_killing_consuls_leader_stops_no_rollout(tmp_path: Path) -> None:
    with three_consuls() as consuls:
        leader = consuls.leader(consuls.servers[0])
        assert leader is not None
        own = next(one for one in consuls.servers if one is not leader)
        async with versions_fleet(own.http, tmp_path, workers=("1", "2")) as (running, plans):
            plan = Plan("1", Canary("2", 10.0))
            await plans.write(plan)
            async with VersionLoad(f"{running.proxy.url}/predict", rate=RATE) as load:
                await asyncio.to_thread(leader.kill)
                assert abs((await load.next(STAGE)).percent("2") - 10) < 2, "without a leader, too"
                # As soon as another one is elected.
                await plans.write(plan := Plan("1", Canary("2", 50.0)))
                assert abs((await load.next(STAGE)).percent("2") - 50) < 2
                await plans.write(promoted(plan))
                assert (await load.next(STAGE)).versions.keys() == {"2"}
            assert load.answers.failures == []
