"""A proxy of two processes loses what a killed one held, and nothing else; and nothing when it is stopped."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.canned_server import nobody
from tests.support.fleet_processes import Fleet, fleet, registry_process
from tests.support.proxy_process import listeners_of, listening
from tests.support.steady_load import SteadyLoad
from tests.support.waiting import eventually, eventually_sync
from tfleet.contract.address import Address

RATE = 250.0
REQUESTS = 2000
HELD = 12
_ANSWERED = re.compile(r'^tfleet_proxy_requests_total\{route="/",status="200"\} ([\d.e+]+)$', re.MULTILINE)


@pytest.fixture
def registry() -> Iterator[str]:
    address = nobody()
    with registry_process(address):
        yield f"consul://{address}"


async def answered(running: Fleet) -> float:
    """How many images the proxy says that it has had answered."""
    async with aiohttp.ClientSession() as session, session.get(f"{running.proxy.url}/metrics") as answer:
        found = _ANSWERED.search(await answer.text())
    return float(found[1]) if found else 0.0


def clients_of(pid: int, proxy: Address) -> int:
    """How many connections of clients a listener holds, with those that none has accepted yet (inode 0)."""
    inodes = {"0"}
    for one in Path(f"/proc/{pid}/fd").iterdir():
        # The listener goes on working: a file that was listed may be closed before its link is read.
        with contextlib.suppress(FileNotFoundError):
            if (link := str(one.readlink())).startswith("socket:["):
                inodes.add(link[8:-1])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{proxy.port:04X}") and row[3] == "01" and row[9] in inodes for row in rows)


def states_of(pid: int) -> set[str]:
    """The states of a process's threads in the letters of proc(5): `T` is stopped, `Z` has ended. It has none
    when it is gone.
    """
    found = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found.add((thread / "stat").read_text().rpartition(")")[2].split()[0])
    return found


async def test_killing_a_listener_and_stopping_loses_no_request(registry: str, model: Path) -> None:
    async with fleet(registry, model, "--listeners", "2", workers=2) as running:
        # One may start later than the other, and a connection stays where it was accepted.
        await eventually(lambda: asyncio.to_thread(listening, running.proxy), wanted=lambda found: found == 2)
        async with SteadyLoad(running.proxy.url, rate=RATE) as load:
            load.hold(HELD)
            await load.sent(REQUESTS // 4)
            pids = listeners_of(running.proxy_process.pid)
            shares = {pid: clients_of(pid, running.proxy) for pid in pids}
            assert min(shares.values()) > 0, "both have clients"
            victim = max(pids, key=shares.__getitem__)
            before = await answered(running)
            # A listener that runs accepts more while its connections are counted, and one that is still
            # ending gets new ones. So nothing is sent from here to its end: the loop that sends waits.
            os.kill(victim, signal.SIGSTOP)
            eventually_sync(lambda: states_of(victim), wanted={"T"}.__eq__)
            lost = clients_of(victim, running.proxy)
            os.kill(victim, signal.SIGKILL)
            # Its sockets are open until the last of its threads has ended, and get connections.
            eventually_sync(lambda: states_of(victim), wanted={"Z"}.issuperset)
            sent = load.tally.sent
            load.let_go()
            await load.sent(REQUESTS)
            await eventually(
                lambda: asyncio.to_thread(listening, running.proxy), wanted=lambda found: found == 2
            )
            assert await answered(running) >= before + REQUESTS - sent - lost, "no counter has fallen"
        broken = [*load.tally.failures, *load.held.failures]
        assert 0 < len(broken) <= lost, f"it held {lost} connections: {broken}"
        assert all(re.match("ServerDisconnected|ClientOSError", one) for one in broken), broken
        assert load.tally.right + load.held.right + len(broken) == load.tally.sent + load.held.sent

        async with SteadyLoad(running.proxy.url, rate=RATE) as load:
            load.hold(HELD)
            await load.sent(REQUESTS)
            load.may_be_refused = True
            running.proxy_process.terminate()
            await eventually(lambda: asyncio.sleep(0, load.tally.refused))
            assert load.held.in_flight == HELD
            load.let_go()
            assert await asyncio.to_thread(running.proxy_process.wait, 20) == 0
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        assert load.held.faultless, f"{load.held} {load.held.failures[:3]}"
