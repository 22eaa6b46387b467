import asyncio

import pytest

from tfleet.proxy.patience import Patience


async def test_a_worker_without_progress_ends_the_block() -> None:
    with pytest.raises(TimeoutError):
        async with Patience(0.01):
            await asyncio.Event().wait()


async def test_the_client_s_turn_costs_none_of_it() -> None:
    async with Patience(0.01) as patience:
        patience.client_turn()
        await asyncio.sleep(0.05)


async def test_each_turn_of_the_worker_starts_anew() -> None:
    began_s = asyncio.get_running_loop().time()
    async with Patience(10) as patience:
        for _ in range(3):
            patience.worker_turn()
            await asyncio.sleep(0)
    assert asyncio.get_running_loop().time() - began_s < 10


async def test_after_its_end_a_turn_means_nothing() -> None:
    async with Patience(0.01) as patience:
        pass
    patience.worker_turn()
    patience.client_turn()
    await asyncio.sleep(0.05)
