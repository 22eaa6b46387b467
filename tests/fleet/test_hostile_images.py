"""A fleet that is sent hostile images loses no good request and no worker."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.support.canned_server import nobody
from tests.support.fleet_processes import Fleet, registry_process
from tests.support.hostile_images import HOSTILE, made
from tests.support.steady_load import SteadyLoad

RATE = 50.0
COPIES = 32
# Of large bodies fewer at a time: the load generator has the same CPUs.
_MAX_BYTES = 128 * 1024 * 1024


async def _send(session: aiohttp.ClientSession, url: str, body: bytes, turn: asyncio.Semaphore) -> int:
    headers = {"Content-Type": "image/x"}
    async with turn, session.post(f"{url}/", data=io.BytesIO(body), headers=headers) as answer:
        await answer.read()
        return answer.status


async def _flood(fleet: Fleet, name: str) -> Counter[int]:
    """The statuses of all copies of one image. As many at once as half of the room is for: the bytes of those
    that are answered may be counted for a moment more.
    """
    body = await asyncio.to_thread(made, name)
    turn = asyncio.Semaphore(max(2, min(COPIES, _MAX_BYTES // (2 * len(body)))))
    timeout = aiohttp.ClientTimeout(total=100)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        return Counter(
            await asyncio.gather(*(_send(session, fleet.proxy.url, body, turn) for _ in range(COPIES)))
        )


@pytest.mark.timeout(400)
async def test_hostile_images_cost_no_good_request_and_no_worker(model: Path) -> None:
    """Each of them 32 times, beside a steady load whose every answer is checked."""
    found: dict[str, Counter[int]] = {}
    with contextlib.ExitStack() as stack:
        registry = nobody()
        await asyncio.to_thread(stack.enter_context, registry_process(registry))
        fleet = Fleet(f"consul://{registry}", model, stack)
        await fleet.start(2)
        before = await fleet.rows()
        async with SteadyLoad(fleet.proxy.url, rate=RATE) as load:
            await load.sent(50)
            for name in HOSTILE:
                found[name] = await _flood(fleet, name)
                assert set(await fleet.states()) == {"ready"}, name
            await load.sent(load.tally.sent + 50)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        after = await fleet.rows()
        await asyncio.to_thread(fleet.stop)
    assert set(after) == set(before), "the same workers, and no new ones"
    assert all(row["failures"] == 0 for row in after.values())
    wrong = {
        name: count
        for name, count in found.items()
        if set(count) - HOSTILE[name].statuses_of(await asyncio.to_thread(made, name))
    }
    assert not wrong
