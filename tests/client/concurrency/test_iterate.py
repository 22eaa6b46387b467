from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

import pytest

from tfleet.client.concurrency.iterate import items_on_demand


async def letters() -> AsyncIterator[str]:
    for letter in "abc":
        yield letter


@pytest.mark.parametrize("kind", ["list", "async", "iterator", "empty"])
async def test_any_iterable_gives_its_items(kind: str) -> None:
    kinds: dict[str, Iterable[str] | AsyncIterable[str]]
    kinds = {"list": list("abc"), "async": letters(), "iterator": iter("abc"), "empty": iter("")}
    assert [item async for item in items_on_demand(kinds[kind])] == ([] if kind == "empty" else list("abc"))


async def test_a_generator_runs_in_one_thread_that_is_not_the_loops() -> None:
    threads = set()

    def generate() -> Iterator[int]:
        for number in range(3):
            threads.add(threading.current_thread())
            yield number

    assert [item async for item in items_on_demand(generate())] == [0, 1, 2]
    (thread,) = threads
    assert thread is not threading.current_thread()
    assert thread.daemon


async def test_a_blocked_generator_does_not_hold_up_the_loop() -> None:
    go_on = threading.Event()

    def generate() -> Iterator[int]:
        go_on.wait()
        yield 1

    items = items_on_demand(generate())
    first = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)  # were the loop held up, `set` would never be reached
    go_on.set()
    assert await first == 1
    await items.aclose()


async def test_an_error_of_the_generator_is_raised_where_it_was_met() -> None:
    def generate() -> Iterator[int]:
        yield 1
        raise OSError("disk")

    items = items_on_demand(generate())
    assert await anext(items) == 1
    with pytest.raises(OSError, match="disk"):
        await anext(items)


async def test_leaving_early_closes_the_generator_in_its_thread() -> None:
    closed_in: asyncio.Queue[threading.Thread] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    ran_in = []

    def generate() -> Iterator[int]:
        try:
            ran_in.append(threading.current_thread())
            yield 1
        finally:
            loop.call_soon_threadsafe(closed_in.put_nowait, threading.current_thread())

    items = items_on_demand(generate())
    await anext(items)
    await items.aclose()
    assert await closed_in.get() is ran_in[0]


async def test_a_caller_that_gave_up_is_not_given_the_item() -> None:
    asked, go_on, gone = threading.Event(), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def generate() -> Iterator[int]:
        asked.set()
        go_on.wait()
        try:
            yield 1
        finally:
            loop.call_soon_threadsafe(gone.set)

    items = items_on_demand(generate())
    first = asyncio.ensure_future(anext(items))
    await asyncio.to_thread(asked.wait)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go_on.set()
    await gone.wait()


def test_a_source_outliving_the_loop_ends_at_its_next_item() -> None:
    asked, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def generate() -> Iterator[int]:
        asked.set()
        go_on.wait()
        try:
            yield 1
        finally:
            closed.set()

    async def give_up() -> None:
        first = asyncio.ensure_future(anext(items_on_demand(generate())))
        await asyncio.to_thread(asked.wait)
        first.cancel()

    asyncio.run(give_up())
    go_on.set()
    assert closed.wait(10)
