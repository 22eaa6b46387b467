"""Runs blocking calls in daemon threads, which do not keep the program from ending.

asyncio.to_thread won't do: its threads are joined when the interpreter ends, so a program that was stopped
would go on for as long as the slowest container drains.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_daemon_thread(call: Callable[..., T], *arguments: object) -> T:
    """Run `call` in a thread, and return or raise what it does. If cancelled, the call goes on."""
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
        except Exception as raised:  # it is raised again where the result is awaited
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            return  # the loop has ended, so nothing waits for the result

    threading.Thread(target=run, name=f"blocking-{call.__name__}", daemon=True).start()
    return await done
