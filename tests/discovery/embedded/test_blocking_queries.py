from __future__ import annotations

import asyncio

import pytest

from tfleet.discovery.embedded.blocking_queries import BlockingQueries
from tfleet.discovery.embedded.errors import FullError

_LONG_S = 60.0


class _Counter:
    def __init__(self, value: int) -> None:
        self.value = value

    def __call__(self) -> int:
        return self.value


async def _held(watchers: BlockingQueries, count: int) -> None:
    async with asyncio.timeout(5):
        while len(watchers) != count:  # noqa: ASYNC110 - that a task has come to its wait fires no event
            await asyncio.sleep(0)


async def test_does_not_wait_when_the_index_is_higher_already() -> None:
    watchers = BlockingQueries(limit=0)
    async with asyncio.timeout(5):
        await watchers.wait(_Counter(8), 7, _LONG_S)


async def test_wakes_only_those_whose_index_has_risen() -> None:
    watchers, mine, other = BlockingQueries(limit=2), _Counter(7), _Counter(7)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        first = group.create_task(watchers.wait(mine, 7, _LONG_S))
        second = group.create_task(watchers.wait(other, 7, _LONG_S))
        await _held(watchers, 2)
        mine.value = 8
        watchers.wake_waiters()
        watchers.wake_waiters()  # before the woken one has run
        await first
        assert not second.done()
        assert repr(watchers) == "<BlockingQueries waiting=1 limit=2 closed=False>"
        other.value = 8
        watchers.wake_waiters()
    assert len(watchers) == 0


async def test_a_wait_ends_with_its_timeout() -> None:
    watchers = BlockingQueries(limit=1)
    async with asyncio.timeout(5):
        await watchers.wait(_Counter(7), 7, 0.01)
    assert len(watchers) == 0


async def test_a_wait_ends_when_the_client_is_gone() -> None:
    watchers = BlockingQueries(limit=1)
    async with asyncio.timeout(5):
        await watchers.wait(_Counter(7), 7, _LONG_S, gone=lambda: True)
    assert len(watchers) == 0


async def test_one_more_than_the_limit_is_refused() -> None:
    watchers = BlockingQueries(limit=1)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(watchers.wait(_Counter(7), 7, _LONG_S))
        await _held(watchers, 1)
        with pytest.raises(FullError, match="too many blocking queries: 1 are held"):
            await watchers.wait(_Counter(7), 7, _LONG_S)
        watchers.close()


async def test_close_ends_all_waits_and_lets_no_new_one_begin() -> None:
    watchers, counter = BlockingQueries(limit=2), _Counter(7)
    async with asyncio.timeout(5):
        async with asyncio.TaskGroup() as group:
            group.create_task(watchers.wait(counter, 7, _LONG_S))
            group.create_task(watchers.wait(counter, 7, _LONG_S))
            await _held(watchers, 2)
            counter.value = 8
            watchers.wake_waiters()
            watchers.close()
        await watchers.wait(counter, 8, _LONG_S)


async def test_a_cancelled_wait_leaves_nothing() -> None:
    watchers = BlockingQueries(limit=1)
    task = asyncio.ensure_future(watchers.wait(_Counter(7), 7, _LONG_S))
    await _held(watchers, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(watchers) == 0
