"""Many things done at once, their results in order, and never more in memory than a window of them.

The rules:
- At most `concurrency` are being done. At most AHEAD times as many have been taken and not yielded yet, so
  that one slow item does not stop the others, and the results that wait for it are bounded.
- A result is yielded as soon as those before it are, also while the next item is waited for.
- If the items end in an error, it is raised after the results of those that came before.
- The generator owns its tasks: when it is closed or cancelled they are cancelled and waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from enum import Enum, auto
from typing import Final, TypeVar

S = TypeVar("S")
R = TypeVar("R")

AHEAD: Final = 4


class _End(Enum):
    """No item: there are no more."""

    END = auto()


async def in_order(
    items: AsyncGenerator[S, None], do: Callable[[S], Awaitable[R]], *, concurrency: int
) -> AsyncGenerator[R, None]:
    """Yield `await do(item)` for each item, in their order; an exception of `do` is raised in its place."""
    slots = asyncio.Semaphore(concurrency)

    async def take() -> S | _End:
        return await anext(items, _End.END)

    async def one(taken: asyncio.Task[S | _End]) -> R:
        item = taken.result()  # raises what the items raised, in its place
        assert item is not _End.END
        async with slots:
            return await do(item)

    window: deque[asyncio.Task[R]] = deque()
    taking: asyncio.Task[S | _End] | None = asyncio.create_task(take())
    try:
        while True:
            awaited = [task for task in (taking, window[0] if window else None) if task is not None]
            if not awaited:
                break
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if taking is not None and taking.done():
                more = taking.exception() is not None or taking.result() is not _End.END
                if more:
                    window.append(asyncio.create_task(one(taking)))
                taking = None
            while window and window[0].done():
                yield window.popleft().result()
            if taking is None and more and len(window) < AHEAD * concurrency:
                taking = asyncio.create_task(take())
    finally:
        left = [*window, *([taking] if taking is not None else [])]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await items.aclose()
