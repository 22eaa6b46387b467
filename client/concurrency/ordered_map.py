"""Process items concurrently and yield the results in order, with a bounded number of items in memory.

The rules:
- At most `concurrency` items are processed at a time. At most AHEAD times as many have been taken and not
  yielded, so that one slow item does not stop the others, and the results that wait for it are bounded.
- A result is yielded as soon as all results before it are, also while the next item is waited for.
- An error of the source is raised after the results of the items before it.
- The generator owns its tasks: when it is closed or cancelled, they are cancelled and awaited.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, TypeVar

from tfleet.client.concurrency.iterate import EndOfItems

S = TypeVar("S")
R = TypeVar("R")

AHEAD: Final = 4


async def in_order(
    items: AsyncGenerator[S, None], do: Callable[[S], Awaitable[R]], *, concurrency: int
) -> AsyncGenerator[R, None]:
    """Yield `await do(item)` for each item, in their order; an exception of `do` is raised in its place."""
    slots = asyncio.Semaphore(concurrency)

    async def take() -> S | EndOfItems:
        return await anext(items, EndOfItems.END)

    async def one(taken: asyncio.Task[S | EndOfItems]) -> R:
        item = taken.result()  # raises an error of the source here, so that it keeps its place in the order
        assert item is not EndOfItems.END
        async with slots:
            return await do(item)

    window: deque[asyncio.Task[R]] = deque()
    taking: asyncio.Task[S | EndOfItems] | None = asyncio.create_task(take())
    try:
        while True:
            # Both are awaited: the first result must not wait for a slow source, nor the source for a slow
            # result.
            awaited = [task for task in (taking, window[0] if window else None) if task is not None]
            if not awaited:
                break
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if taking is not None and taking.done():
                more = taking.exception() is not None or taking.result() is not EndOfItems.END
                if more:
                    window.append(asyncio.create_task(one(taking)))
                taking = None
            while window and window[0].done():
                yield window.popleft().result()
            # After the yields, which is where a slow consumer holds the source back.
            if taking is None and more and len(window) < AHEAD * concurrency:
                taking = asyncio.create_task(take())
    finally:
        left = [*window, *([taking] if taking is not None else [])]
        for task in left:
            task.cancel()
        # Awaited before the source is closed: a generator that is running can't be closed.
        await asyncio.gather(*left, return_exceptions=True)
        await items.aclose()
