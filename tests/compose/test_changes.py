"""What is done to containers while a fleet is at work: no request is lost. The model is a small one."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from docker.models.containers import Container
from docker.models.networks import Network

from tests.compose.killed_worker import KilledWorker
from tests.compose.slow_load import trickle, without_requests
from tests.support.compose_project import Project
from tests.support.waiting import eventually_sync

_STOP_GRACE_S = 30.0
"""WORKER_STOP_GRACE: after it Docker kills."""

_WITHOUT_A_TICKET = """
import sys, urllib.request
image = b"not looked at"
request = urllib.request.Request(sys.argv[1], image, {"Content-Type": "image/png"})
try:
    urllib.request.urlopen(request)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.fixture
def three(small_fleet: Project) -> Project:
    """Three workers at work, whatever the test before has done to them."""
    small_fleet.up("--no-recreate", workers=3)
    small_fleet.settled(3)
    return small_fleet


async def _gone(fleet: Project, worker_id: str) -> None:
    await asyncio.to_thread(eventually_sync, fleet.states, wanted=lambda found: worker_id not in found)


def test_workers_require_tickets_with_a_key_file(small_fleet: Project) -> None:
    proxy, worker = small_fleet.containers("proxy")[0], small_fleet.containers("worker")[0]
    url = f"http://{worker.name}:8000/"
    assert proxy.exec_run(["python", "-c", _WITHOUT_A_TICKET, url]).output.strip() == b"401"


async def test_a_fleet_of_3_grows_to_5_shrinks_to_1_and_grows_to_3(three: Project) -> None:
    async with trickle(three):
        for workers in (5, 1, 3):
            await asyncio.to_thread(three.up, "--no-recreate", workers=workers)
            await asyncio.to_thread(three.settled, workers)


async def test_consul_is_restarted(three: Project) -> None:
    known = set(three.states())
    async with trickle(three):
        await asyncio.to_thread(three.containers("consul")[0].restart)
        await asyncio.to_thread(
            eventually_sync,
            three.listed,
            wanted=lambda found: set(found) == known and all(found.values()),
            timeout_s=30,
        )
    assert set(three.states()) == known


def test_a_worker_is_killed(killed_worker: KilledWorker) -> None:
    """An address that is gone does not refuse, it is silent: for a second, and then for that of a probe."""
    assert killed_worker.out_of_routing_s < 5


async def test_killed_workers_come_back_with_swapped_addresses(three: Project) -> None:
    one, other = sorted(three.containers("worker")[:2], key=lambda each: ip_address(_address(each)))
    addresses, began = (_address(one), _address(other)), datetime.now(UTC).isoformat()
    async with trickle(three):
        for victim in (one, other):
            await asyncio.to_thread(victim.kill)
        for victim in (other, one):  # the engine gives the lowest address that is free
            await asyncio.to_thread(victim.start)
        assert (_address(other), _address(one)) == addresses
        await asyncio.to_thread(three.settled, 3)
    assert set(three.listed()) >= {three.worker_id(one), three.worker_id(other)}
    assert _strangers_images(three, began) == []


def _strangers_images(fleet: Project, since: str) -> list[tuple[str, str]]:
    """The requests that a worker has answered which the proxy had from another one, with that worker."""
    meant = {
        line["request_id"]: line.get("worker") for line in fleet.lines("proxy") if line["event"] == "request"
    }
    served = [
        (line["request_id"], line["worker"])
        for line in fleet.lines("worker")
        if line["event"] == "request" and line["status"] == 200 and line["timestamp"] >= since
    ]
    assert served
    return [(request, worker) for request, worker in served if meant.get(request) != worker]


def _address(container: Container) -> str:
    container.reload()
    (network,) = container.attrs["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])


async def test_a_worker_is_stopped_and_ends_by_itself(three: Project) -> None:
    victim = three.containers("worker")[1]
    worker_id = three.worker_id(victim)
    async with trickle(three):
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
    async with trickle(three):
        await asyncio.to_thread(victim.pause)
        try:
            await without_requests(three, worker_id)
        finally:
            await asyncio.to_thread(victim.unpause)
        await asyncio.to_thread(three.settled, 3)
    # Docker calls it unhealthy until the next check, and compose would not wait for that.
    await asyncio.to_thread(eventually_sync, lambda: _health(victim), wanted=lambda found: found == "healthy")


def _health(container: Container) -> str:
    container.reload()
    return str(container.health)


async def test_a_worker_reconnects_with_another_address(
    three: Project,
) -> None:
    victim = three.containers("worker")[2]
    worker_id, before = three.worker_id(victim), f"{_address(victim)}:8000"
    network = three.engine.networks.get(f"{three.name}_default")
    async with trickle(three):
        await asyncio.to_thread(network.disconnect, victim)
        await without_requests(three, worker_id)
        with _in_its_place(three, network):
            await asyncio.to_thread(network.connect, victim)
            await asyncio.to_thread(three.settled, 3)
    address = f"{_address(victim)}:8000"
    assert address != before, "it came back with another one, and noticed"
    assert three.addresses()[worker_id] == address
    assert three.listed()[worker_id]


@contextmanager
def _in_its_place(fleet: Project, network: Network) -> Iterator[None]:
    """Somebody else has the address that was given up: the engine gives the lowest one that is free."""
    image = fleet.containers("worker")[0].image
    sleeper = fleet.engine.containers.run(
        image, ["-c", "import time; time.sleep(600)"], entrypoint="python", network=network.name, detach=True
    )
    try:
        yield
    finally:
        sleeper.remove(force=True)


def test_all_logs_are_json_lines(small_fleet: Project) -> None:
    """After all of the above: starts, stops, a restart of Consul."""
    for service in ("consul", "proxy", "worker"):
        assert small_fleet.lines(service), service
