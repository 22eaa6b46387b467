from __future__ import annotations

from contextlib import AsyncExitStack

import aiohttp

from tests.proxy.stand_in import settings, stand_in
from tests.waiting import eventually
from tfleet.proxy.service import running


async def test_workers_that_failed_the_client_are_passed_over() -> None:
    async with stand_in() as one, stand_in() as two, running(settings(one, two, mode="p2p")) as proxy:
        async with aiohttp.ClientSession() as session:

            async def named(query: str) -> tuple[int, str]:
                async with session.get(f"{proxy.url}/worker?{query}") as answer:
                    return answer.status, (await answer.text()).strip()

            for _ in range(3):
                assert await named(f"except={one.address}&except=a-stranger") == (200, str(two.address))
            assert (await named(f"except={one.address}&except={two.address}"))[0] == 503


async def test_a_worker_that_failed_a_client_is_probed_and_out_before_anybody_else_is_sent_to_it() -> None:
    async with AsyncExitStack() as stack, stand_in() as well, aiohttp.ClientSession() as session:
        dead = await stack.enter_async_context(stand_in())
        async with running(settings(dead, well, mode="p2p")) as proxy:

            async def states() -> dict[str, str]:
                async with session.get(f"{proxy.url}/workers") as answer:
                    return {row["address"]: row["state"] for row in (await answer.json())["workers"]}

            await stack.aclose()
            assert set((await states()).values()) == {"ready"}
            for failed in (dead, well):  # a client's word alone changes nothing
                async with session.get(f"{proxy.url}/worker?except={failed.address}") as answer:
                    assert answer.ok
            wanted = {str(dead.address): "ejected", str(well.address): "ready"}
            await eventually(states, wanted=lambda found: found == wanted)
