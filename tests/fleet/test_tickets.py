"""A fleet whose workers ask for tickets, as its users and its operator see it."""

import asyncio
import contextlib
import json
import time
from pathlib import Path

import aiohttp
import requests

from tests.fleet.test_drain import tfleet_drain
from tests.support.canned_server import nobody
from tests.support.fleet_processes import Fleet, registry_process, worker_id
from tests.support.p2p_load import P2pLoad
from tests.support.pictures import picture
from tests.support.steady_load import SteadyLoad
from tests.support.tfleet_up import curl
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.contract.ticket import LIFETIME_S, TicketKeys, check, mint

OLD, NEW, OTHER = "0" * 64, "1" * 64, "2" * 64
RATE = 60.0


def keys(*lines: str) -> TicketKeys:
    return TicketKeys(tuple(line.encode() for line in lines))


def ticket(line: str, model: str = "") -> str:
    return mint(keys(line), "tfleet", round(time.time()) + LIFETIME_S, model)


class Machine:
    """Where a key file is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch(mode=0o600)

    def write(self, *lines: str) -> None:
        """In place, as an editor or a shell does it."""
        self.path.write_text("\n".join([*lines, ""]))

    @property
    def option(self) -> tuple[str, str]:
        return "--ticket-key-file", str(self.path)


async def takes(workers: list[Address], line: str, *, wanted: bool) -> None:
    """Wait until all workers take tickets that were signed with this key, or none does."""

    async def found() -> set[bool]:
        async with aiohttp.ClientSession() as session:
            answers = [
                await session.post(worker.url, headers={"X-Ticket": ticket(line)}) for worker in workers
            ]
        return {answer.status != 401 for answer in answers}  # without an image it is 400

    await eventually(found, wanted={wanted}.__eq__)


async def gives(proxy: Address, line: str) -> None:
    """Wait until the proxy signs with this key."""

    async def given() -> str:
        async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/workers") as answer:
            return answer.headers["X-Ticket"]

    await eventually(given, wanted=lambda one: check(keys(line), "tfleet", one, time.time()) is None)


async def test_only_requests_with_tickets_work_while_keys_rotate(model: Path, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(picture("red"))
    at_the_proxy, at_the_workers = Machine(tmp_path / "proxy.key"), Machine(tmp_path / "workers.key")
    at_the_proxy.write(OLD)
    at_the_workers.write(OLD)
    with contextlib.ExitStack() as stack:
        registry = nobody()
        await asyncio.to_thread(stack.enter_context, registry_process(registry))
        fleet = Fleet(f"consul://{registry}", model, stack)
        await fleet.start(0, *at_the_proxy.option)
        for _ in range(2):
            fleet.add_worker(*at_the_workers.option)
        await fleet.ready(2)
        workers = [Address.parse(row["address"]) for row in (await fleet.rows()).values()]
        await asyncio.to_thread(_as_a_user_sees_it, fleet.proxy, workers[0], tmp_path)

        forward, p2p = SteadyLoad(fleet.proxy.url, rate=RATE), P2pLoad(fleet.proxy.url, rate=RATE)
        async with forward, p2p:
            await p2p.sent(50)
            at_the_workers.write(NEW, OLD)
            await takes(workers, NEW, wanted=True)
            at_the_proxy.write(NEW, OLD)
            await gives(fleet.proxy, NEW)
            at_the_workers.write(NEW)
            at_the_proxy.write(NEW)
            await takes(workers, OLD, wanted=False)  # before the clients' leases are renewed
            await p2p.sent(p2p.tally.sent + 100)
        for load in (forward, p2p):
            assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
            assert load.tally.retries == 0

        await _leaves_only_when_its_proxy_says_so(fleet)

        at_the_proxy.write(OTHER)
        await gives(fleet.proxy, OTHER)
        await asyncio.to_thread(_as_a_user_sees_wrong_keys, fleet.proxy, tmp_path)
        await asyncio.to_thread(fleet.stop)


async def _leaves_only_when_its_proxy_says_so(fleet: Fleet) -> None:
    leaving = fleet.workers[0]
    refused = await asyncio.to_thread(requests.post, f"{leaving.address().url}/drain", timeout=10)
    assert refused.status_code == 401
    drain = await tfleet_drain(worker_id(leaving), fleet.proxy)
    said, _ = await drain.communicate()
    assert drain.returncode == 0
    assert said.decode().startswith(f"{worker_id(leaving)} is gone")
    assert await asyncio.to_thread(leaving.process.wait, 5) == 0


def _as_a_user_sees_it(proxy: Address, worker: Address, folder: Path) -> None:
    through = json.loads(curl(f"curl -s -XPOST {proxy} -F data=@red.png", cwd=folder))
    line = 'curl -v -XPOST $(curl -s localhost:12480/worker) -F "data=@red.png"'
    past = json.loads(curl(line.replace("localhost:12480", str(proxy)), cwd=folder))
    with_header = f"curl -s -XPOST -H 'X-Ticket: {ticket(OLD)}' {worker}/predict?top=1 -F image=@red.png"
    assert through[0][0] == past[0][0] == "red"
    assert json.loads(curl(with_header, cwd=folder))["predictions"][0]["label"] == "red"
    refused = json.loads(curl(f"curl -s -XPOST {worker} -F data=@red.png", cwd=folder))
    assert refused["status"] == 401
    assert "ask the proxy for a worker (GET /worker)" in refused["detail"]
    anothers = f"curl -s -XPOST -H 'X-Ticket: {ticket(OLD, 'another')}' {worker} -F data=@red.png"
    assert "another service or model" in json.loads(curl(anothers, cwd=folder))["detail"]


def _as_a_user_sees_wrong_keys(proxy: Address, folder: Path) -> None:
    past = json.loads(curl(f"curl -s -XPOST $(curl -s {proxy}/worker) -F data=@red.png", cwd=folder))
    assert past["status"] == 401
    assert "differ in --ticket-key-file" in past["detail"]
    through = requests.post(proxy.url, files={"data": picture("red")}, timeout=30)
    assert through.status_code == 502
    assert "refuses this proxy's ticket" in through.json()["detail"]
