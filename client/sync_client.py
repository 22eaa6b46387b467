"""An event loop in a thread of its own, for callers that have none.

The client for everybody else: the same as AsyncFleetClient, on an event loop in the background.

Fork: a child process has none of its parent's threads and must not touch its sockets. A client that was used
before a fork can be used after it: the child starts a loop and connections of its own with its first call.
An iteration of classify_many does not survive the fork; begin it in the process that reads it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from tfleet.client.async_client import (
    DEFAULT_BALANCE,
    DEFAULT_CONCURRENCY,
    DEFAULT_CONNECT_TIMEOUT_S,
    DEFAULT_TIMEOUT_S,
    DEFAULT_TRY_TIMEOUT_S,
    AsyncFleetClient,
)
from tfleet.client.images.image import Source
from tfleet.client.proxies.addresses import DEFAULT_PROXY

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import TracebackType
    from typing import Self

    from tfleet.client.results import Classification, Outcome
    from tfleet.client.routes.lease import Balance
    from tfleet.client.worker_status import WorkerStatus

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


S = TypeVar("S", bound=Source)


class FleetClient:
    """Classifies images with one fleet, for code without asyncio.

    The arguments, results and errors are AsyncFleetClient's. Any number of threads may share one client:
    they share its connections. Its thread starts with the first call. Close it, or use it in a `with`; one
    that is forgotten is closed by the garbage collector or at the end of the program.
    """

    def __init__(
        self,
        proxy: str | Sequence[str] = DEFAULT_PROXY,
        *,
        p2p: bool = False,
        balance: Balance = DEFAULT_BALANCE,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S,
        try_timeout_s: float = DEFAULT_TRY_TIMEOUT_S,
        top: int | None = None,
        max_connections: int = 100,
    ) -> None:
        self._make = partial(
            AsyncFleetClient,
            proxy,
            p2p=p2p,
            balance=balance,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            try_timeout_s=try_timeout_s,
            top=top,
            max_connections=max_connections,
        )
        self._proxy = self._make().proxy  # bad arguments are told now, not at the first call
        self._lock = threading.Lock()
        self._closed = False
        self._running: _Running | None = None
        _alive.add(self)

    @property
    def proxy(self) -> str:
        """See AsyncFleetClient.proxy."""
        return self._proxy

    def __repr__(self) -> str:
        state = "closed" if self._closed else "running" if self._running else "not started"
        return f"<FleetClient {self.proxy} {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread. Calls of other threads fail, later ones raise
        RuntimeError.
        """
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
        if running is not None:
            running.finalizer()

    def classify(self, image: Source, *, top: int | None = None) -> Classification:
        """See AsyncFleetClient.classify."""
        running = self._started()
        return running.loop.run(lambda: running.client.classify(image, top=top))

    def outcome(self, source: S, *, top: int | None = None) -> Outcome[S]:
        """See AsyncFleetClient.outcome."""
        running = self._started()
        return running.loop.run(lambda: running.client.outcome(source, top=top))

    def classify_many(
        self, sources: Iterable[S], *, concurrency: int = DEFAULT_CONCURRENCY, top: int | None = None
    ) -> Generator[Outcome[S], None, None]:
        """See AsyncFleetClient.classify_many. Leaving the loop over it early cancels what is under way."""
        running = self._started()
        outcomes = running.client.classify_many(sources, concurrency=concurrency, top=top)
        return _iterated(running.loop, _Stepped(outcomes))

    def workers(self) -> tuple[WorkerStatus, ...]:
        """See AsyncFleetClient.workers."""
        running = self._started()
        return running.loop.run(running.client.workers)

    def workers_document(self) -> dict[str, Any]:
        """See AsyncFleetClient.workers_document."""
        running = self._started()
        return running.loop.run(running.client.workers_document)

    def _started(self) -> _Running:
        with self._lock:
            if self._closed:
                raise RuntimeError("the client is closed")
            if self._running is None:
                client = self._make()
                loop = LoopThread(client.close)
                # Also at the end of the program, while threads still run. It must not hold the FleetClient
                # itself.
                self._running = _Running(loop, client, weakref.finalize(self, loop.close))
            return self._running

    def _forget(self) -> None:
        """In a forked child: leave the parent's thread and sockets alone, and start anew when called."""
        self._lock = threading.Lock()  # another thread of the parent may have held it
        if self._running is not None:
            self._running.finalizer.detach()
            # Kept for good: collecting it would close sockets and a selector that the parent goes on using.
            _parents.append(self._running)
            self._running = None


@dataclass(frozen=True, slots=True)
class _Running:
    loop: LoopThread
    client: AsyncFleetClient
    finalizer: weakref.finalize[[], FleetClient]


class _Stepped(Generic[T]):
    """An async generator taken step by step by another thread, which may give up in the middle of one."""

    def __init__(self, items: AsyncGenerator[T, None]) -> None:
        self._items = items
        self._step: asyncio.Task[Any] | None = None

    async def next(self) -> T | None:
        self._step = asyncio.current_task()
        return await anext(self._items, None)

    async def close(self) -> None:
        if self._step is not None:  # an interrupted step has been told to end, but may still be at it
            await asyncio.wait([self._step])
        await self._items.aclose()


def _iterated(loop: LoopThread, outcomes: _Stepped[Outcome[S]]) -> Generator[Outcome[S], None, None]:
    try:
        while (outcome := loop.run(outcomes.next)) is not None:
            yield outcome
    finally:
        with suppress(RuntimeError):  # the client was closed, and its loop cleaned up then
            loop.run(outcomes.close)


_alive: Final[weakref.WeakSet[FleetClient]] = weakref.WeakSet()
_parents: Final[list[_Running]] = []


def _forget_all() -> None:
    for client in list(_alive):
        client._forget()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forget_all)
