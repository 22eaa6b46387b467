"""A fleet ends as it is asked to, mends what dies, and leaves nothing."""

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest
import requests

from tests.support.consul_agent import consul_agent, consul_binary
from tests.support.pictures import picture
from tests.support.steady_load import SteadyLoad
from tests.support.tfleet_up import up
from tests.support.waiting import eventually_sync


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_drains_everything_and_leaves_nothing(signum: int, model: Path) -> None:
    with (
        consul_agent() as consul,
        up("--registry", f"consul://{consul.address}", "--model", str(model)) as fleet,
    ):
        listed = [consul_binary(), "catalog", "services", f"-http-addr={consul.address}"]
        assert "tfleet" in subprocess.check_output(listed, text=True).split()
        children = fleet.pids()
        assert len(children) == 4  # the proxy, what workers are forked from, two workers
        assert fleet.stop(signum) == 0
        assert "all stopped" in fleet.said
        assert not any(_alive(pid) for pid in children)
        assert "tfleet" not in subprocess.check_output(listed, text=True).split()


def test_a_dead_worker_is_restarted_and_the_fleet_goes_on(model: Path) -> None:
    with up("--model", str(model)) as fleet:
        before = {row["id"] for row in fleet.workers()}
        victim = min(fleet.pids("worker"))
        os.kill(victim, signal.SIGKILL)
        for _ in range(10):  # the first that meets the dead one is sent on to the other
            assert requests.post(fleet.url, files={"data": picture("red")}, timeout=30).json()[0][0] == "red"
        eventually_sync(fleet.ready, wanted=lambda ready: ready == 2, timeout_s=60)
        assert {row["id"] for row in fleet.workers() if row["state"] == "ready"} != before
        assert "SIGKILL" in fleet.said


async def test_a_stop_under_load_answers_what_was_begun(model: Path) -> None:
    with contextlib.ExitStack() as stack:
        fleet = await asyncio.to_thread(stack.enter_context, up("--model", str(model)))
        async with SteadyLoad(fleet.proxy.url, rate=150.0) as load:
            await load.sent(1000)
            load.may_be_refused = True
            code = await asyncio.to_thread(fleet.stop)
        assert code == 0
        assert load.tally.refused > 0
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
