"""Consul as three servers, each the agent of a machine. The proxy asks only its own."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.canned_server import nobody
from tests.support.fleet_processes import Fleet, worker_id
from tests.support.graphs import write_model
from tests.support.steady_load import SteadyLoad
from tests.support.three_consuls import Server, ThreeConsuls, three_consuls
from tests.support.waiting import eventually
from tests.support.worker_process import Worker

RATE = 100.0
SEEN_S = 10.0
"""How soon a change is seen once there is a leader."""
ELECTED_S = 30.0


@dataclass
class Place:
    """A proxy and a worker at the agent `own`, a worker at each of the others; `leader` leads at first."""

    consuls: ThreeConsuls
    fleet: Fleet
    own: Server
    leader: Server
    third: Server

    def add_worker(self, at: Server) -> Worker:
        return self.fleet.add_worker("--registry", f"consul://{at.http}")

    async def elected(self) -> None:
        """Wait until the proxy's agent knows a leader that lives."""

        async def led() -> bool:
            leader = await asyncio.to_thread(self.consuls.leader, self.own)
            return leader is not None and leader.process is not None and leader.process.poll() is None

        await eventually(led, timeout_s=ELECTED_S)

    async def lists(self, ids: set[str], *, within_s: float) -> None:
        """Wait until the proxy's agent lists exactly these workers."""
        await eventually(
            lambda: asyncio.to_thread(self.own.lists, "tfleet"),
            wanted=lambda found: found == ids,
            timeout_s=within_s,
        )

    async def newcomer_is_used(self, load: SteadyLoad, at: Server) -> Worker:
        """A new worker gets requests soon after it said that it is ready."""
        worker = await asyncio.to_thread(self.add_worker, at)
        await asyncio.to_thread(worker.wait_for, "worker ready")

        async def used() -> bool:
            return worker_id(worker) in load.tally.workers

        await eventually(used, timeout_s=SEEN_S)
        return worker


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "colours" / "1")


@pytest.fixture
def place(model: Path) -> Iterator[Place]:
    with three_consuls() as consuls, contextlib.ExitStack() as stack:
        leader = consuls.leader(consuls.servers[0])
        assert leader
        own, third = (one for one in consuls.servers if one is not leader)
        place = Place(consuls, Fleet(f"consul://{own.http}", model, stack), own, leader, third)
        asyncio.run(place.fleet.start(0))
        for at in (leader, third, own):
            place.add_worker(at)
        asyncio.run(place.fleet.ready(3))
        yield place
        place.fleet.stop()


@pytest.mark.timeout(170)
async def test_killing_consul_servers_in_turn_fails_no_request(place: Place) -> None:
    consuls, fleet = place.consuls, place.fleet
    _, at_third, at_own = ids = [worker_id(worker) for worker in fleet.workers]
    await place.lists(set(ids), within_s=SEEN_S)
    async with SteadyLoad(fleet.proxy.url, rate=RATE) as load:
        await load.sent(200)

        place.leader.kill()
        await place.elected()
        await place.newcomer_is_used(load, place.third)
        newcomer = worker_id(fleet.workers[-1])
        assert place.own.lists("tfleet") >= {at_third, at_own, newcomer}, "nobody else was lost"
        load.tally.workers.clear()

        async def served_by() -> set[str]:
            return set(load.tally.workers)

        everybody = {*ids, newcomer}
        await eventually(served_by, wanted=lambda found: found == everybody)

        consuls.start(place.leader)
        await place.lists(everybody, within_s=ELECTED_S)

        # With two of three gone nobody can become the leader.
        place.leader.kill()
        place.third.kill()
        await load.sent(load.tally.sent + 300)
        await a_new_proxy_finds_the_workers(place, everybody)
        consuls.start(place.leader, place.third)
        await place.elected()
        await place.newcomer_is_used(load, place.own)
        everybody.add(worker_id(fleet.workers[-1]))
        await place.lists(everybody, within_s=ELECTED_S)

        # The proxy has no other agent to ask; it goes on with what it knows.
        place.own.kill()
        await load.sent(load.tally.sent + 300)
        fleet.workers[1].process.kill()
        await load.sent(load.tally.sent + 300)
        consuls.start(place.own)
        await place.elected()
        await place.newcomer_is_used(load, place.third)
    assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"


async def a_new_proxy_finds_the_workers(place: Place, ids: set[str]) -> None:
    """Also while Consul has no leader."""
    fleet, address = place.fleet, nobody()
    assert place.consuls.leader(place.own) is None
    first, fleet.proxy = fleet.proxy, address
    process = fleet.add_proxy(address)
    await fleet.ready(len(ids))
    process.kill()
    fleet.proxy = first
