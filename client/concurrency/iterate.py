"""Iterate over any iterable in an event loop, without blocking the loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Collection, Iterable
from enum import Enum, auto
from queue import SimpleQueue
from types import GeneratorType
from typing import TypeVar

T = TypeVar("T")


class EndOfItems(Enum):
    """Marks the end of the items."""

    END = auto()


async def items_on_demand(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    """Yield the items; each is taken from the iterable only when the caller asks for it.

    A collection is iterated directly. Any other iterable may block (a folder walk, a pipe, a database), so a
    thread iterates over it. The thread is a daemon: a read from a terminal without input does not keep the
    program alive.
    """
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    elif isinstance(items, Collection):
        for item in items:
            yield item
    else:
        wanted: SimpleQueue[asyncio.Future[T | EndOfItems] | None] = SimpleQueue()
        loop = asyncio.get_running_loop()
        threading.Thread(target=_serve, args=(items, wanted, loop), name="tfleet-pull", daemon=True).start()
        try:
            while True:
                future: asyncio.Future[T | EndOfItems] = loop.create_future()
                wanted.put(future)
                taken = await future
                if taken is EndOfItems.END:
                    return
                yield taken
        finally:
            wanted.put(None)


def _serve(
    items: Iterable[T],
    wanted: SimpleQueue[asyncio.Future[T | EndOfItems] | None],
    loop: asyncio.AbstractEventLoop,
) -> None:
    iterator = None
    while (future := wanted.get()) is not None:
        item: T | EndOfItems = EndOfItems.END
        failure: BaseException | None = None
        try:
            iterator = iter(items) if iterator is None else iterator
            item = next(iterator, EndOfItems.END)
        except BaseException as error:  # of any kind: the task that iterates raises it
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop was closed while the source blocked
            loop.call_soon_threadsafe(_settle, future, item, failure)
    if isinstance(iterator, GeneratorType):
        iterator.close()  # runs its `finally` blocks now, in the thread that ran the rest of it


def _settle(
    future: asyncio.Future[T | EndOfItems], item: T | EndOfItems, failure: BaseException | None
) -> None:
    if future.done():  # cancelled while the thread was working
        return
    if failure is None:
        future.set_result(item)
    else:
        future.set_exception(failure)
