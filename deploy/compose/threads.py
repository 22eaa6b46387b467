"""Calls that block, beside an event loop, and that nobody waits for when the program ends.

asyncio's own threads are joined at the interpreter's end: a program that was told to stop would go on for as
long as the slowest container drains.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def aside(call: Callable[..., T], *arguments: object) -> T:
    """What it returns or raises. Cancelled, it is left to itself."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type] # without an error there is a result

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call(*arguments)
        except Exception as raised:  # it is the caller's, in the other thread
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            return  # the loop has ended, and nobody waits

    threading.Thread(target=run, name=f"aside-{call.__name__}", daemon=True).start()
    return await done
