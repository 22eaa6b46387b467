"""Whatever the registry does, the fleet serves; and when it is itself again, the registration is whole."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.fleet.faulty_registry import TRUTHFULLY, Misbehaviour
from tests.support.consul_agent import consul_agent
from tests.support.embedded_registry import embedded_registry
from tests.support.fleet_processes import Fleet
from tests.support.steady_load import SteadyLoad
from tests.support.waiting import eventually
from tfleet.contract.address import Address

RATE = 200.0
REQUESTS = 2000
STOPPED_S = 30.0
WHOLE_AGAIN_S = 10.0

FAILURES = "tfleet_registry_failures_total"
CHANGED = 'tfleet_registry_answers_total{result="changed"}'
EMPTY = 'tfleet_registry_answers_total{result="empty"}'
RESETS = "tfleet_registry_index_resets_total"
UNLISTED = "tfleet_registry_unlisted_workers"


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


def listed(registry: Address) -> set[str]:
    """Whom the registry lists as passing, whatever it tells others; nobody while it does not answer."""
    url = f"{registry.url}/v1/health/service/tfleet?passing"
    try:
        entries = requests.get(url, headers=TRUTHFULLY, timeout=5).json()
    except requests.RequestException:
        return set()
    return {entry["Service"]["ID"] for entry in entries}


async def lists(registry: Address, ids: set[str]) -> None:
    """Wait until the registry lists exactly these workers as passing."""
    await eventually(
        lambda: asyncio.to_thread(listed, registry),
        wanted=lambda found: found == ids,
        timeout_s=WHOLE_AGAIN_S,
    )


async def counted(fleet: Fleet, sample: str) -> float:
    """A number among the proxy's own metrics."""
    text = (await asyncio.to_thread(requests.get, f"{fleet.proxy.url}/metrics", timeout=5)).text
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{sample} "))


async def in_order(fleet: Fleet, registry: Address) -> set[str]:
    """The ids of the two workers, as soon as the proxy knows both from the registry."""
    await fleet.ready(2)
    await eventually(lambda: counted(fleet, UNLISTED), wanted=lambda workers: workers == 0)
    known = await asyncio.to_thread(listed, registry)
    assert len(known) == 2
    return known


@pytest.mark.parametrize(
    ("fault", "sample"),
    [
        ("lists_nobody", EMPTY),
        ("counts_backwards", RESETS),
        ("breaks_off", FAILURES),
        ("lists_ten_thousand", CHANGED),
    ],
)
async def test_a_fleet_serves_while_the_registry_answers_garbage(
    faulty: tuple[Fleet, Misbehaviour, Address], fault: str, sample: str
) -> None:
    fleet, misbehaviour, registry = faulty
    known = await in_order(fleet, registry)
    async with SteadyLoad(fleet.proxy.url, rate=RATE) as load:
        await load.sent(100)
        before = await counted(fleet, sample)
        misbehaviour.fault = fault
        await load.sent(REQUESTS)
        assert await counted(fleet, sample) > before, "the proxy met the fault"
        if fault == "lists_nobody":
            assert await counted(fleet, UNLISTED) == 2, "served by workers that nobody lists"
        if fault == "counts_backwards":
            assert misbehaviour.watched.count(0) > 1, "each time that it fell, the watch began anew"
        if fault == "lists_ten_thousand":
            assert len(await fleet.rows()) == 10_002
        misbehaviour.fault = ""
        await lists(registry, known)
    assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
    assert set(load.tally.workers) == known, "both went on serving"


@pytest.mark.parametrize("fault", ["answers_500", "hangs"])
async def test_a_fleet_serves_while_the_registry_lists_no_worker(
    faulty: tuple[Fleet, Misbehaviour, Address], fault: str
) -> None:
    """The registry is whole again within ten seconds."""
    fleet, misbehaviour, registry = faulty
    known = await in_order(fleet, registry)
    async with SteadyLoad(fleet.proxy.url, rate=RATE) as load:
        await load.sent(100)
        before = await counted(fleet, FAILURES)
        misbehaviour.fault = fault
        await load.sent(REQUESTS)
        await lists(registry, set())
        assert misbehaviour.watched, "the proxy asked"
        if fault == "answers_500":
            assert await counted(fleet, FAILURES) > before
        misbehaviour.fault = ""
        await lists(registry, known)
        # A query that hung is a failure only now: the proxy's patience is longer than this load.
        await eventually(lambda: counted(fleet, FAILURES), wanted=lambda failures: failures > before)
    assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
    assert set(load.tally.workers) == known, "both went on serving"


async def test_a_fleet_serves_while_consul_is_stopped(model: Path) -> None:
    with contextlib.ExitStack() as stack:
        consul = await asyncio.to_thread(stack.enter_context, consul_agent())
        fleet = await asyncio.to_thread(stack.enter_context, running(consul.address, model))
        known = await asyncio.to_thread(listed, consul.address)
        async with SteadyLoad(fleet.proxy.url, rate=REQUESTS / STOPPED_S) as load:
            await load.sent(100)
            consul.process.send_signal(signal.SIGSTOP)
            await load.sent(100 + REQUESTS)
            consul.process.send_signal(signal.SIGCONT)
            await lists(consul.address, known)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        await asyncio.to_thread(stack.close)


async def test_a_fleet_serves_while_consul_restarts_empty(model: Path) -> None:
    with contextlib.ExitStack() as stack:
        consul = await asyncio.to_thread(stack.enter_context, consul_agent())
        fleet = await asyncio.to_thread(stack.enter_context, running(consul.address, model))
        known = await asyncio.to_thread(listed, consul.address)
        async with SteadyLoad(fleet.proxy.url, rate=RATE) as load:
            await load.sent(100)
            consul.process.kill()
            await load.sent(REQUESTS // 2)
            await asyncio.to_thread(stack.enter_context, consul_agent(http_port=consul.address.port))
            await lists(consul.address, known)
            await load.sent(REQUESTS)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        await asyncio.to_thread(stack.close)
