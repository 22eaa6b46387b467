"""What is done to containers while a fleet is at work: no request is lost. The model is a small one."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import docker
import pytest
from docker.models.containers import Container

from tests.compose.project import Project, project
from tests.fleet.steady import SteadyLoad, Tally
from tests.waiting import eventually_sync
from tests.worker.model.graphs import write_model

_RATE = 20.0
_STOP_GRACE_S = 30.0
"""WORKER_STOP_GRACE: after it Docker kills."""
_REMOVED_S = 120.0
"""Consul's TTL of 10 s, its minute, and the half minute in which it looks for those that are over it."""

_WITHOUT_A_TICKET = """
import sys, urllib.request
image = b"not looked at"
request = urllib.request.Request(sys.argv[1], image, {"Content-Type": "image/png"})
try:
    urllib.request.urlopen(request)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.fixture(scope="module")
def fleet(
    engine: docker.DockerClient, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """Three workers, who serve a model of the user's and ask for tickets."""
    models = tmp_path_factory.mktemp("models")
    write_model(models / "colours" / "1")
    models.chmod(0o755)
    key = tmp_path_factory.mktemp("secrets") / "tickets.key"
    key.write_text("5" * 64 + "\n")
    key.chmod(0o444)
    variables = {"MODELS": str(models), "TFLEET_MODEL": "/models/colours", "TICKET_KEY_FILE": str(key)}
    with project(engine, **images, **variables) as running:
        running.up(workers=3)
        running.settled(3)
        yield running


@pytest.fixture
def three(fleet: Project) -> Project:
    """Three workers at work, whatever the test before has done to them."""
    fleet.up("--no-recreate", workers=3)
    fleet.settled(3)
    return fleet


@asynccontextmanager
async def _trickle(fleet: Project) -> AsyncIterator[Callable[[], Tally]]:
    """A trickle of images from a second before to a second after, and none of them is lost."""
    async with SteadyLoad(fleet.url, rate=_RATE) as load:
        await load.sent(int(_RATE))
        yield lambda: load.tally
        await load.sent(load.tally.sent + int(_RATE))
    assert load.tally.faultless, (load.tally, load.tally.failures[:5])


async def _gone(fleet: Project, worker_id: str) -> None:
    await asyncio.to_thread(eventually_sync, fleet.states, wanted=lambda found: worker_id not in found)


async def _without_requests(fleet: Project, worker_id: str) -> None:
    await asyncio.to_thread(
        eventually_sync, fleet.states, wanted=lambda found: found.get(worker_id) != "ready"
    )


def test_a_worker_asks_for_a_ticket(fleet: Project) -> None:
    proxy, worker = fleet.containers("proxy")[0], fleet.containers("worker")[0]
    url = f"http://{worker.name}:8000/"
    assert proxy.exec_run(["python", "-c", _WITHOUT_A_TICKET, url]).output.strip() == b"401"


async def test_a_fleet_of_3_grows_to_5_shrinks_to_1_and_grows_to_3(three: Project) -> None:
    async with _trickle(three):
        for workers in (5, 1, 3):
            await asyncio.to_thread(three.up, "--no-recreate", workers=workers)
            await asyncio.to_thread(three.settled, workers)


async def test_consul_is_restarted(three: Project) -> None:
    known = set(three.states())
    async with _trickle(three):
        await asyncio.to_thread(three.containers("consul")[0].restart)
        await asyncio.to_thread(
            eventually_sync,
            three.listed,
            wanted=lambda found: set(found) == known and all(found.values()),
            timeout_s=30,
        )
    assert set(three.states()) == known


@dataclass(frozen=True)
class Corpse:
    """A worker that was killed, and when, by time.monotonic()."""

    id: str
    killed_s: float
    out_of_routing_s: float


@pytest.fixture(scope="module")
def corpse(fleet: Project) -> Corpse:
    """A fourth worker, killed under a trickle. It is not started again: who gets its address buries it."""
    fleet.up("--no-recreate", workers=4)
    fleet.settled(4)
    return asyncio.run(_kill(fleet, fleet.containers("worker")[3]))


async def _kill(fleet: Project, victim: Container) -> Corpse:
    worker_id = fleet.worker_id(victim)
    async with _trickle(fleet):
        killed_s = time.monotonic()
        await asyncio.to_thread(victim.kill)
        await _without_requests(fleet, worker_id)
        return Corpse(worker_id, killed_s, time.monotonic() - killed_s)


def test_a_worker_is_killed(corpse: Corpse) -> None:
    """An address that is gone does not refuse, it is silent: for a second, and then for that of a probe."""
    assert corpse.out_of_routing_s < 5


async def test_two_workers_are_killed_and_come_back_with_each_other_s_address(three: Project) -> None:
    one, other = three.containers("worker")[:2]
    addresses = _address(one), _address(other)
    async with _trickle(three):
        for victim in (one, other):
            await asyncio.to_thread(victim.kill)
        for victim in (other, one):  # the engine gives the lowest address that is free
            await asyncio.to_thread(victim.start)
        assert (_address(other), _address(one)) == addresses
        await asyncio.to_thread(three.settled, 3)
    assert set(three.listed()) >= {three.worker_id(one), three.worker_id(other)}


def _address(container: Container) -> str:
    container.reload()
    (network,) = container.attrs["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])


async def test_a_worker_is_stopped_and_ends_by_itself(three: Project) -> None:
    victim = three.containers("worker")[1]
    worker_id = three.worker_id(victim)
    async with _trickle(three):
        began_s = time.monotonic()
        await asyncio.to_thread(victim.stop, timeout=int(_STOP_GRACE_S))
        took_s = time.monotonic() - began_s
        await _gone(three, worker_id)
    victim.reload()
    assert victim.attrs["State"]["ExitCode"] == 0
    assert took_s < _STOP_GRACE_S / 3


async def test_a_worker_is_paused(three: Project) -> None:
    victim = three.containers("worker")[2]
    worker_id = three.worker_id(victim)
    async with _trickle(three):
        await asyncio.to_thread(victim.pause)
        try:
            await _without_requests(three, worker_id)
        finally:
            await asyncio.to_thread(victim.unpause)
        await asyncio.to_thread(three.settled, 3)
    # Docker calls it unhealthy until the next check, and compose would not wait for that.
    await asyncio.to_thread(eventually_sync, lambda: _health(victim), wanted=lambda found: found == "healthy")


def _health(container: Container) -> str:
    container.reload()
    return str(container.health)


async def test_a_worker_is_cut_off_from_the_network(three: Project) -> None:
    victim = three.containers("worker")[2]
    worker_id = three.worker_id(victim)
    network = three.engine.networks.get(f"{three.name}_default")
    async with _trickle(three):
        await asyncio.to_thread(network.disconnect, victim)
        await _without_requests(three, worker_id)
    await asyncio.to_thread(victim.kill)


def test_a_killed_worker_is_out_of_consul_in_about_a_minute(fleet: Project, corpse: Corpse) -> None:
    left_s = corpse.killed_s + _REMOVED_S - time.monotonic()
    assert left_s > 0
    eventually_sync(fleet.listed, wanted=lambda found: corpse.id not in found, timeout_s=left_s)
    print(f"out of Consul after {time.monotonic() - corpse.killed_s:.0f} s")


def test_all_logs_are_json_lines(fleet: Project) -> None:
    """After all of the above: starts, stops, a restart of Consul."""
    for service in ("consul", "proxy", "worker"):
        assert fleet.lines(service), service
