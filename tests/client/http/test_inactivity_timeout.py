from __future__ import annotations

import asyncio

import pytest

from tfleet.client.http.inactivity_timeout import InactivityTimeout


async def begin_and_wait(patience: InactivityTimeout) -> None:
    async with patience:
        patience.progress()
        await asyncio.sleep(30)


async def test_a_block_without_progress_times_out() -> None:
    with pytest.raises(TimeoutError):
        await begin_and_wait(InactivityTimeout(0.05))


@pytest.mark.process
async def test_progress_restarts_the_timeout() -> None:
    began_s = asyncio.get_running_loop().time()
    async with InactivityTimeout(1.0) as patience:
        for _ in range(12):
            patience.progress()
            await asyncio.sleep(0.1)
    assert asyncio.get_running_loop().time() - began_s > 1.0


async def test_before_the_first_byte_there_is_no_time_out() -> None:
    async with InactivityTimeout(0.01):
        await asyncio.sleep(0.05)


async def test_a_timeout_of_none_never_expires() -> None:
    async with InactivityTimeout(None) as patience:
        patience.progress()
        await asyncio.sleep(0.05)


async def test_progress_after_the_end_has_no_effect() -> None:
    async with InactivityTimeout(30) as patience:
        patience.progress()
    patience.progress()


async def test_progress_that_comes_too_late_has_no_effect() -> None:
    async def moves_at_the_end() -> None:
        async with InactivityTimeout(0.01) as patience:
            patience.progress()
            try:
                await asyncio.sleep(30)
            finally:
                patience.progress()

    with pytest.raises(TimeoutError):
        await moves_at_the_end()
