import asyncio
from typing import Any

import aiohttp
import pytest

from tests.support.fake_worker import fake_worker
from tests.support.proxy_process import (
    address_of,
    ended,
    lines,
    pids,
    post,
    static,
    together,
)
from tests.support.waiting import eventually

pytestmark = pytest.mark.process


async def test_listeners_whose_parent_is_killed_finish_and_end() -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def hold(_: Any) -> Any:
        arrived.set()
        await release.wait()
        raise aiohttp.web.HTTPOk

    async with fake_worker() as worker:
        worker.answer = hold
        with together(*static(worker)) as running:
            proxy = await address_of(running)
            left = await pids(running)
            held = asyncio.ensure_future(post(proxy, 1))
            await arrived.wait()
            running.process.kill()
            await lines(running, "proxy draining", 2)
            release.set()
            await held
            for pid in left:
                await eventually(lambda pid=pid: asyncio.to_thread(ended, pid))  # type: ignore[misc] # bound
