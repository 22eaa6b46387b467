"""A proxy holds no more after tens of thousands of requests of all kinds than it did before.

`python -m benchmarks.proxy.soak` looks at it for longer.
"""

import pytest

from benchmarks.proxy.soak.clients import Clients
from benchmarks.proxy.soak.growth import mb_per_100k
from benchmarks.proxy.soak.process import Proxy, proxy
from tests.support.waiting import eventually

MAX_MB_PER_100K = 1.0
WARM_UP = 30_000
WINDOW = 15_000
MAX_WINDOWS = 5
SAMPLES = 20


async def growth(running: Proxy, clients: Clients) -> float:
    """How the memory grows with the next so many requests."""
    begin, samples = clients.sent.total(), []
    for step in range(SAMPLES + 1):
        await clients.until(begin + step * WINDOW // SAMPLES)
        samples.append((clients.sent.total(), (await running.held()).resident_bytes))
    return mb_per_100k(samples)


@pytest.mark.timeout(300)  # some of it is for a machine that is busy with others
async def test_a_proxy_does_not_grow_with_the_requests_that_it_served() -> None:
    with proxy() as running:
        await running.ready()
        start = await running.held()
        # More at once than later on, so that whatever is kept for the next one has been needed by then.
        async with Clients(running.address, connections=64) as clients:
            await clients.until(WARM_UP)
        wrong = clients.wrong
        # A connection to the proxy's own pages is closed after 15 to 23 s without a request.
        warm = await eventually(running.held, wanted=lambda held: held.tasks <= start.tasks, timeout_s=60)
        async with Clients(running.address, connections=16, seed=1) as clients:
            slopes = [await growth(running, clients)]
            # The allocator takes a large piece now and then. That is a step; a leak grows in every window.
            while slopes[-1] >= MAX_MB_PER_100K and len(slopes) < MAX_WINDOWS:
                slopes.append(await growth(running, clients))
        wrong += clients.wrong
        assert not wrong, f"{len(wrong)} were not answered as they should: {wrong[:5]}"
        assert slopes[-1] < MAX_MB_PER_100K, f"MB for 100,000 requests, window by window: {slopes}"
        await eventually(
            running.held,
            wanted=lambda held: held.tasks <= start.tasks and held.descriptors <= warm.descriptors,
            timeout_s=60,
        )
