from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfleet.client.concurrency.ordered_map import AHEAD, in_order


async def count_to(n: int) -> AsyncGenerator[int, None]:
    for number in range(n):
        yield number


class Gates:
    """Work that is done when a test opens its gate."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self._gates: dict[int, asyncio.Event] = {}
        self._changed = asyncio.Event()

    async def work(self, item: int) -> int:
        self.begun.append(item)
        self._changed.set()
        try:
            await self._gate(item).wait()
        finally:
            self.ended.append(item)
        return item * 10

    def open(self, *items: int) -> None:
        for item in items:
            self._gate(item).set()

    async def until_begun(self, n: int) -> None:
        while len(self.begun) < n:
            self._changed.clear()
            await self._changed.wait()

    def _gate(self, item: int) -> asyncio.Event:
        return self._gates.setdefault(item, asyncio.Event())


@settings(deadline=None, max_examples=50)
@given(delays=st.lists(st.integers(0, 5), max_size=40), concurrency=st.integers(1, 9))
def test_results_keep_the_order_and_the_limits_hold(delays: list[int], concurrency: int) -> None:
    running = most = taken = yielded = furthest = 0

    async def items() -> AsyncGenerator[int, None]:
        nonlocal taken, furthest
        for number in range(len(delays)):
            taken += 1
            furthest = max(furthest, taken - yielded)
            yield number

    async def do(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(delays[number]):
            await asyncio.sleep(0)
        running -= 1
        return number

    async def all_of_it() -> list[int]:
        nonlocal yielded
        results = []
        async for result in in_order(items(), do, concurrency=concurrency):
            yielded += 1
            results.append(result)
        return results

    assert asyncio.run(all_of_it()) == list(range(len(delays)))
    assert most <= concurrency
    assert furthest <= AHEAD * concurrency


async def test_one_slow_item_does_not_stop_the_others() -> None:
    gates = Gates()
    results = in_order(count_to(100), gates.work, concurrency=2)
    first = asyncio.ensure_future(anext(results))
    gates.open(*range(1, 100))
    await gates.until_begun(AHEAD * 2)
    gates.open(0)
    assert await first == 0
    assert [result async for result in results] == [n * 10 for n in range(1, 100)]


async def test_a_result_does_not_wait_for_the_next_item() -> None:
    more = asyncio.Event()

    async def slow() -> AsyncGenerator[int, None]:
        yield 1
        await more.wait()
        yield 2

    gates = Gates()
    gates.open(1, 2)
    results = in_order(slow(), gates.work, concurrency=8)
    assert await anext(results) == 10
    more.set()
    assert await anext(results) == 20
    await results.aclose()


async def test_an_error_of_the_source_comes_after_earlier_results() -> None:
    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        yield 2
        raise OSError("disk")

    gates = Gates()
    gates.open(1, 2)
    results = in_order(broken(), gates.work, concurrency=8)
    assert [await anext(results), await anext(results)] == [10, 20]
    with pytest.raises(OSError, match="disk"):
        await anext(results)


async def test_an_error_of_the_work_is_raised_in_its_place() -> None:
    async def work(item: int) -> int:
        if item == 1:
            raise ZeroDivisionError
        return item

    results = in_order(count_to(3), work, concurrency=3)
    assert await anext(results) == 0
    with pytest.raises(ZeroDivisionError):
        await anext(results)


async def test_closing_it_cancels_the_work_and_closes_the_items() -> None:
    closed = False

    async def items() -> AsyncGenerator[int, None]:
        nonlocal closed
        try:
            for number in range(100):
                yield number
        finally:
            closed = True

    gates = Gates()
    results = in_order(items(), gates.work, concurrency=2)
    first = asyncio.ensure_future(anext(results))
    await gates.until_begun(2)
    gates.open(0)
    assert await first == 0
    await results.aclose()
    assert sorted(gates.ended) == sorted(gates.begun)
    assert closed


async def test_cancelling_it_cancels_the_work() -> None:
    gates = Gates()

    async def consume() -> None:
        async for _ in in_order(count_to(100), gates.work, concurrency=2):
            pass

    task = asyncio.ensure_future(consume())
    await gates.until_begun(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(gates.ended) == [0, 1]
