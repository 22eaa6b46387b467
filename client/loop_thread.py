"""An event loop in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

T = TypeVar("T")

_CLOSED: Final = "the client is closed"


class LoopThread:
    """Runs coroutines for any number of threads, from its making to `close`.

    `at_end` is awaited on the loop when it closes, before what still runs is cancelled. The thread is a
    daemon, so a program that forgets to close still ends.
    """

    def __init__(self, at_end: Callable[[], Awaitable[None]]) -> None:
        self._lock = threading.Lock()
        self._closing = False
        started: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = (
            concurrent.futures.Future()
        )
        self._thread = threading.Thread(
            target=lambda: asyncio.run(_live(started, at_end)), name="tfleet-client", daemon=True
        )
        self._thread.start()
        self._loop, self._end = started.result()

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run the coroutine that `make` gives, and give back its result. RuntimeError when closed.

        An interrupt (Ctrl-C) cancels it, wherever it strikes: the coroutine is made on the loop, so there is
        none in this thread that could be left behind.
        """
        done: concurrent.futures.Future[T] = concurrent.futures.Future()
        try:
            # Under the lock: what is handed to a loop that has been told to end would never be done.
            with self._lock:
                if self._closing:
                    raise RuntimeError(_CLOSED)
                self._loop.call_soon_threadsafe(begin, make, done)
            return done.result()
        except concurrent.futures.CancelledError:
            raise RuntimeError(_CLOSED) from None
        except BaseException:
            done.cancel()
            raise

    def close(self) -> None:
        """End the loop and wait for its thread. Closing twice is harmless."""
        with self._lock:
            if not self._closing:
                self._closing = True
                self._loop.call_soon_threadsafe(self._end.set)
        # The garbage collector may close a forgotten client on this very thread.
        if threading.current_thread() is not self._thread:
            self._thread.join()


async def _live(
    started: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]],
    at_end: Callable[[], Awaitable[None]],
) -> None:
    end = asyncio.Event()
    started.set_result((asyncio.get_running_loop(), end))
    await end.wait()
    await at_end()


def begin(make: Callable[[], Coroutine[Any, Any, T]], done: concurrent.futures.Future[T]) -> None:
    """On the loop: run what `make` gives until `done` has its result, or until `done` is cancelled."""
    if done.cancelled():
        return
    loop = asyncio.get_running_loop()
    task = loop.create_task(make())  # owned by `done`, whose callback holds it

    def report(task: asyncio.Task[T]) -> None:
        error = None if task.cancelled() else task.exception()
        with suppress(concurrent.futures.InvalidStateError):  # its caller gave up in the meantime
            if task.cancelled():
                done.cancel()
            elif error is not None:
                done.set_exception(error)
            else:
                done.set_result(task.result())

    def cancel(done: concurrent.futures.Future[T]) -> None:
        if done.cancelled():
            with suppress(RuntimeError):  # the loop is closed, and has cancelled it
                loop.call_soon_threadsafe(task.cancel)

    task.add_done_callback(report)
    done.add_done_callback(cancel)
