"""Clients that know several proxies notice nothing of the loss of one."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.support.canned_server import nobody
from tests.support.consul_agent import consul_agent
from tests.support.environment import users_environment
from tests.support.fleet_processes import fleet
from tests.support.p2p_load import P2pLoad
from tests.support.waiting import eventually
from tfleet.contract.address import Address

RATE = 60.0
REQUESTS = 300
_FORWARDED = re.compile(
    r'^tfleet_proxy_requests_total\{route="/predict",status="200"\} ([\d.]+)$', re.MULTILINE
)


@pytest.fixture
def consul() -> Iterator[Address]:
    with consul_agent() as agent:
        yield agent.address


async def registered(consul: Address) -> set[int]:
    """The ports of the proxies that the registry lists as passing."""
    url = f"{consul.url}/v1/health/service/tfleet-proxy?passing"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return {row["Service"]["Port"] for row in await answer.json()}


async def forwarded(proxy: Address) -> float:
    """How many images a proxy has had answered; 0 while it does not answer itself."""
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/metrics") as answer:
            found = _FORWARDED.search(await answer.text())
    except aiohttp.ClientError:
        return 0
    return float(found[1]) if found else 0


async def test_killing_and_stopping_proxies_fails_no_request(consul: Address, model: Path) -> None:
    async with fleet(f"consul://{consul}", model, workers=2) as running, AsyncExitStack() as stack:
        one, two = running.proxy, nobody()
        stopped = running.add_proxy(two)
        both = await eventually(lambda: registered(consul), wanted=lambda ports: len(ports) == 2)
        named, found = [one.url, two.url], f"consul://{consul}"
        loads = [
            P2pLoad(named, rate=RATE, p2p=False),
            P2pLoad(found, rate=RATE, p2p=False),
            P2pLoad(found, rate=RATE),
        ]
        for load in loads:
            await stack.enter_async_context(load)

        async def sent(requests: int) -> None:
            await asyncio.gather(*(load.sent(load.tally.sent + requests) for load in loads))

        async def waiting() -> int:
            return min(load.in_flight for load in loads[:2])

        await sent(50)
        assert min(await forwarded(one), await forwarded(two)) >= 40, "they take turns"
        running.proxy_process.send_signal(signal.SIGSTOP)
        await eventually(waiting, wanted=lambda in_flight: in_flight >= 5)
        running.proxy_process.kill()
        await sent(REQUESTS // 2)
        running.add_proxy(one)
        await eventually(lambda: forwarded(one))
        assert await eventually(lambda: registered(consul), wanted=lambda ports: len(ports) == 2) == both
        stopped.terminate()
        assert await eventually(lambda: registered(consul), wanted=lambda ports: len(ports) == 1) == {
            one.port
        }
        assert stopped.poll() is None, "it has left the registry, and still answers"
        await sent(REQUESTS // 2)
        assert await asyncio.to_thread(stopped.wait, 20) == 0
        await stack.aclose()
        for load in loads:
            assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
            assert load.tally.sent > REQUESTS
        assert len(json.loads(await asyncio.to_thread(status, found))["workers"]) == 2


def status(proxies: str) -> str:
    """What `tfleet status` prints."""
    command = [sys.executable, "-m", "tfleet", "status", "--json", "--proxy", proxies]
    return subprocess.check_output(command, env=users_environment(), text=True)
