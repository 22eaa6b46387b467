"""Clients that share their images among the workers of a lease by themselves."""

import asyncio
import contextlib
import functools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.support.canned_server import nobody
from tests.support.fake_worker import fake_worker, settings
from tests.support.fleet_processes import fleet, registry_process, worker_id
from tests.support.p2p_load import P2pLoad
from tests.support.relay import relay_beside
from tests.support.waiting import eventually
from tfleet.client import AsyncFleetClient
from tfleet.proxy.server import single_process_proxy

RATE = 200.0
CLIENTS, IMAGES, WORKERS = 6, 300, 4


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    address = nobody()
    with registry_process(address):
        yield f"consul://{address}"


async def test_a_new_worker_gets_its_share_without_a_proxy_lost(registry: str, model: Path) -> None:
    """A proxy that is lost costs no image."""
    async with fleet(registry, model, "--mode", "p2p", workers=2) as started:
        async with P2pLoad(started.proxy.url, rate=RATE) as load:
            await load.sent(200)
            newcomer = worker_id(started.add_worker())
            await started.ready(3)
            last = Counter[str]()

            async def share() -> float:
                """The newcomer's, of some hundred images."""
                nonlocal last
                before = Counter(load.tally.workers)
                await load.sent(load.tally.sent + 150)
                last = load.tally.workers - before
                return last[newcomer] / last.total()

            # A lease is renewed after 8 s at most, and slow start is over by then or soon after.
            await eventually(share, wanted=lambda found: 0.25 < found < 0.42)
            started.proxy_process.kill()
            await load.sent(load.tally.sent + 600)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        assert load.tally.retries == 0


async def test_one_lookup_serves_hundreds_of_images_evenly() -> None:
    async with contextlib.AsyncExitStack() as stack:
        shares = Counter[int]()
        workers = []
        for number in range(WORKERS):
            worker = await stack.enter_async_context(fake_worker())
            worker.answer = functools.partial(_classified, shares, number)
            workers.append(worker)
        proxy = await stack.enter_async_context(single_process_proxy(settings(*workers, mode="p2p")))
        witness = await stack.enter_async_context(relay_beside(proxy))

        async def client() -> None:
            async with AsyncFleetClient(witness.address.url, p2p=True) as one:
                many = [bytes(35_000)] * IMAGES
                assert all([outcome.error is None async for outcome in one.classify_many(many)])

        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(client())
        async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/metrics") as answer:
            found = re.search(
                r'requests_total\{route="/worker",status="200"\} ([0-9.]+)', await answer.text()
            )
        received_bytes = witness.received_bytes
    assert found is not None
    images = CLIENTS * IMAGES
    assert float(found[1]) <= 0.02 * images
    assert received_bytes <= 200 * images / 10, "the bar is 200 bytes an image; a lease costs one lookup"
    assert shares.total() == images
    assert max(shares.values()) < 1.2 * min(shares.values())


async def _classified(shares: Counter[int], number: int, request: web.Request) -> web.Response:
    await request.read()
    shares[number] += 1
    return web.json_response({"success": True, "predictions": [{"label": "cat", "probability": 1.0}]})
