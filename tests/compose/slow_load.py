"""A trickle of images to a fleet of containers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.compose.proxy_status import Served
from tests.support.steady_load import SteadyLoad
from tests.support.waiting import eventually_sync

_RATE = 20


@asynccontextmanager
async def trickle(fleet: Served) -> AsyncIterator[None]:
    """From a second before to a second after the block, and none of the images is lost."""
    async with SteadyLoad(fleet.url, rate=_RATE) as load:
        await load.sent(_RATE)
        yield
        await load.sent(load.tally.sent + _RATE)
    assert load.tally.faultless, (load.tally, load.tally.failures[:5])


async def without_requests(fleet: Served, worker_id: str) -> None:
    """Wait until the proxy sends nothing to this worker."""
    await asyncio.to_thread(
        eventually_sync, fleet.states, wanted=lambda found: found.get(worker_id) != "ready"
    )
