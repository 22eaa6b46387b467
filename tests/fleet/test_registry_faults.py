"""Whatever the registry does, the fleet serves; and when it is itself again, the registration is whole."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.consul_agent import consul_agent
from tests.embedded_registry import embedded_registry
from tests.fleet.misbehaviour import Misbehaviour
from tests.fleet.processes import Fleet
from tests.fleet.steady import SteadyLoad
from tests.waiting import eventually, eventually_sync
from tests.worker.model.graphs import write_model
from tfleet.discovery.address import Address

RATE = 200.0
REQUESTS = 2000
WHOLE_AGAIN_S = 10.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "colours" / "1")


@contextlib.contextmanager
def running(registry: Address, model: Path) -> Iterator[Fleet]:
    with contextlib.ExitStack() as stack:
        fleet = Fleet(f"consul://{registry}", model, stack)
        asyncio.run(fleet.start(2))
        yield fleet
        fleet.stop()


@pytest.fixture(scope="module")
def faulty(model: Path) -> Iterator[tuple[Fleet, Misbehaviour, Address]]:
    """One fleet for all faults, with a registry that misbehaves when it is told to."""
    misbehaviour = Misbehaviour()
    with embedded_registry(misbehaviour.middleware) as registry, running(registry, model) as fleet:
        yield fleet, misbehaviour, registry


async def whole(registry: Address, ids: set[str]) -> float:
    """Seconds until the registry lists exactly these workers as passing."""
    began_s = time.monotonic()

    async def listed() -> set[str]:
        url = f"{registry.url}/v1/health/service/tfleet?passing"
        try:
            entries = (await asyncio.to_thread(requests.get, url, timeout=5)).json()
        except requests.RequestException:
            return set()
        return {entry["Service"]["ID"] for entry in entries}

    await eventually(listed, wanted=lambda found: found == ids, timeout_s=WHOLE_AGAIN_S)
    return time.monotonic() - began_s


def ids(registry: Address) -> set[str]:
    entries = requests.get(f"{registry.url}/v1/health/service/tfleet?passing", timeout=5).json()
    return {entry["Service"]["ID"] for entry in entries}


@pytest.mark.parametrize(
    "fault",
    ["answers_500", "lists_nobody", "counts_backwards", "breaks_off", "hangs", "lists_ten_thousand"],
)
async def test_the_fleet_serves_on_while_the_registry(
    faulty: tuple[Fleet, Misbehaviour, Address], fault: str
) -> None:
    fleet, misbehaviour, registry = faulty
    await fleet.ready(2)
    known = await asyncio.to_thread(ids, registry)
    assert len(known) == 2
    async with SteadyLoad(fleet.proxy.url, rate=RATE) as load:
        await load.sent(100)
        misbehaviour.times, misbehaviour.fault = 0, fault
        await load.sent(REQUESTS)
        misbehaviour.fault = ""
        await asyncio.to_thread(eventually_sync, lambda: misbehaviour.times)
        await whole(registry, known)
    assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
    assert set(load.tally.workers) == known, "both went on serving"


async def test_the_fleet_serves_on_while_consul_is_stopped_for_30_seconds(model: Path) -> None:
    with contextlib.ExitStack() as stack:
        consul = await asyncio.to_thread(stack.enter_context, consul_agent())
        fleet = await asyncio.to_thread(stack.enter_context, running(consul.address, model))
        known = await asyncio.to_thread(ids, consul.address)
        async with SteadyLoad(fleet.proxy.url, rate=RATE) as load:
            await load.sent(100)
            consul.process.send_signal(signal.SIGSTOP)
            await load.sent(100 + int(30 * RATE))
            consul.process.send_signal(signal.SIGCONT)
            await whole(consul.address, known)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        await asyncio.to_thread(stack.close)


async def test_the_fleet_serves_on_while_consul_is_killed_and_comes_back_without_state(model: Path) -> None:
    with contextlib.ExitStack() as stack:
        consul = await asyncio.to_thread(stack.enter_context, consul_agent())
        fleet = await asyncio.to_thread(stack.enter_context, running(consul.address, model))
        known = await asyncio.to_thread(ids, consul.address)
        async with SteadyLoad(fleet.proxy.url, rate=RATE) as load:
            await load.sent(100)
            consul.process.kill()
            await load.sent(REQUESTS // 2)
            await asyncio.to_thread(stack.enter_context, consul_agent(http_port=consul.address.port))
            await whole(consul.address, known)
            await load.sent(REQUESTS)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        await asyncio.to_thread(stack.close)
