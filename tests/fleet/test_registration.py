"""What the registry says of the workers is true again soon, whatever was done to it; and nobody is hurt."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.canned_server import nobody
from tests.support.consul_agent import consul_agent
from tests.support.either_registry import REGISTRIES, either_registry
from tests.support.environment import users_environment
from tests.support.fleet_processes import Fleet, fleet, worker_id
from tests.support.relay import Relay, relay
from tests.support.steady_load import SteadyLoad
from tests.support.waiting import eventually, eventually_sync
from tests.support.worker_process import COMMAND
from tfleet.contract.address import Address
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.listing import Listing, ListingStatus

RATE = 150.0
SLOW_RATE = 25.0
REQUESTS = 2000
WHOLE_AGAIN_S = 10.0
GIVEN_UP_S = 120.0
"""A TTL of 10 s, a minute of DeregisterCriticalServiceAfter, and Consul looks every half a minute."""


@pytest.fixture(params=REGISTRIES)
def registry(request: pytest.FixtureRequest) -> Iterator[Address]:
    with either_registry(request.param) as address:
        yield address


@pytest.fixture
def line_to_consul() -> Iterator[tuple[Address, Relay]]:
    """Where a Consul answers, and a line to it that can be cut."""
    with consul_agent() as consul, relay(consul.address) as line:
        yield consul.address, line


def listed(registry: Address) -> tuple[Listing, ...]:
    """All that the catalog has, well or ill."""
    return ConsulAgent(registry, "tfleet", ttl_s=10).listed()


async def passing(registry: Address) -> set[str]:
    found = await asyncio.to_thread(listed, registry)
    return {one.instance.id for one in found if one.status is ListingStatus.PASSING}


async def whole(registry: Address, ids: set[str], *, within_s: float = WHOLE_AGAIN_S) -> None:
    """Wait until the catalog lists exactly these as passing."""
    await eventually(lambda: passing(registry), wanted=lambda found: found == ids, timeout_s=within_s)


def wipe(registry: Address) -> None:
    """Take the workers out of the catalog, behind their agent's back."""
    for one in listed(registry):
        body = {"Node": one.node, "ServiceID": one.instance.id}
        assert requests.put(f"{registry.url}/v1/catalog/deregister", json=body, timeout=10).ok


async def test_a_wiped_catalog_heals_within_ten_seconds(registry: Address, model: Path) -> None:
    """No request fails meanwhile."""
    async with fleet(f"consul://{registry}", model, workers=2) as running:
        ids = {worker_id(worker) for worker in running.workers}
        await whole(registry, ids)
        async with SteadyLoad(running.proxy.url, rate=RATE) as load:
            await load.sent(300)
            await asyncio.to_thread(wipe, registry)
            await whole(registry, ids)
            await load.sent(REQUESTS)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        assert load.tally.workers.keys() == ids, "both went on serving"


def test_a_worker_taking_over_a_port_removes_the_stale_entry(registry: Address, model: Path) -> None:
    options = ("--model", str(model), "--registry", f"consul://{registry}", "--port", str(nobody().port))

    def ids() -> list[str]:
        return [one.instance.id for one in listed(registry)]

    with Fleet.forked_workers.worker(*options) as killed:
        stale = worker_id(killed)
        eventually_sync(ids, wanted=lambda found: found == [stale])
        killed.process.kill()
        killed.process.wait(10)
        with Fleet.forked_workers.worker(*options) as successor:
            successor.wait_for("removed a stale registration at this address")
            eventually_sync(ids, wanted=lambda found: found == [worker_id(successor)], timeout_s=5)
            successor.process.terminate()
            successor.process.wait(10)
    assert eventually_sync(ids, wanted=lambda found: found == []) == []


def test_a_worker_with_anothers_address_ends_naming_it(registry: Address, model: Path) -> None:
    options = ("--model", str(model), "--registry", f"consul://{registry}")
    with Fleet.forked_workers.worker(*options) as holder:
        holder.wait_for("registered")
        before = eventually_sync(lambda: listed(registry))
        address = str(holder.address())
        refused = subprocess.run(
            [*COMMAND, *options, "--advertise", address],
            capture_output=True,
            text=True,
            timeout=60,
            env=users_environment(),
            check=False,
        )
        assert refused.returncode == 2
        assert refused.stderr.splitlines()[-1] == (
            f"tfleet worker: {address} is the address of {worker_id(holder)} (node {before[0].node}), which "
            "answers there; set --advertise to the address at which this one can be reached"
        )
        assert listed(registry) == before, "who was there first is as it was"
        holder.process.terminate()
        holder.process.wait(10)


@pytest.mark.timeout(GIVEN_UP_S + 120)
async def test_a_long_partition_removes_only_dead_workers(
    line_to_consul: tuple[Address, Relay], model: Path
) -> None:
    """Longer than Consul waits before it deregisters; no request fails."""
    consul, line = line_to_consul

    async def ids() -> set[str]:
        return {one.instance.id for one in await asyncio.to_thread(listed, consul)}

    async with fleet(f"consul://{consul}", model, workers=1) as running:
        (dead,) = running.workers
        for _ in range(2):
            running.add_worker("--registry", f"consul://{line.address}")
        await running.ready(3)
        stale, *living = map(worker_id, running.workers)
        await whole(consul, {stale, *living})

        async def routed() -> bool:
            row = (await running.rows()).get(stale)
            return row is not None and row["state"] == "ready"

        async with SteadyLoad(running.proxy.url, rate=SLOW_RATE) as load:
            await load.sent(100)
            line.cut()
            dead.process.kill()
            await eventually(routed, wanted=lambda is_routed: not is_routed, timeout_s=5)
            assert await ids() == {stale, *living}, "it is Consul that takes its time"
            await eventually(ids, wanted=lambda found: not found, timeout_s=GIVEN_UP_S)
            line.mend()
            await whole(consul, set(living))
            await load.sent(REQUESTS)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        assert load.tally.workers.keys() == {stale, *living}
