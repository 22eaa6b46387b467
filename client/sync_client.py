"""The synchronous client: AsyncFleetClient on an event loop in a background thread.

Fork: a child process has none of its parent's threads, and must not use its sockets. A client that was used
before a fork can be used after it: the child starts its own loop and connections with its first call. An
iteration of classify_many does not survive a fork; start it in the process that reads it.
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
    DEFAULT_BATCH_CONCURRENCY,
    DEFAULT_BATCH_ROWS,
    DEFAULT_CONCURRENCY,
    AsyncFleetClient,
)
from tfleet.client.fleet_calls import (
    DEFAULT_BALANCE,
    DEFAULT_CONNECT_TIMEOUT_S,
    DEFAULT_TIMEOUT_S,
    DEFAULT_TRY_TIMEOUT_S,
)
from tfleet.client.images.image import Source
from tfleet.client.proxies.addresses import DEFAULT_PROXY

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import TracebackType
    from typing import Self

    from tfleet.client.results import (
        Classification,
        ImageVector,
        ModelAnswer,
        Outcome,
        RowResult,
        VectorOutcome,
    )
    from tfleet.client.routes.lease import Balance
    from tfleet.client.rows import Row, RowsForm
    from tfleet.client.worker_status import WorkerStatus

T = TypeVar("T")

_CLOSED: Final = "the client is closed"


class LoopThread:
    """An event loop in its own thread that runs coroutines for any number of threads, until `close`.

    `at_end` is awaited on the loop when it closes, before the remaining tasks are cancelled. The thread is a
    daemon, so a program that does not close it still ends.
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
        """Run the coroutine that `make` returns, and return its result. Raises RuntimeError when closed.

        An interrupt (Ctrl-C) at any point cancels it: the coroutine is created on the loop, so that this
        thread can't leave one behind that was never awaited.
        """
        done: concurrent.futures.Future[T] = concurrent.futures.Future()
        try:
            # Under the lock: a loop that has been told to end would never run the coroutine.
            with self._lock:
                if self._closing:
                    raise RuntimeError(_CLOSED)
                self._loop.call_soon_threadsafe(start_coroutine, make, done)
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
        # The garbage collector may close an unclosed client on this very thread.
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


def start_coroutine(make: Callable[[], Coroutine[Any, Any, T]], done: concurrent.futures.Future[T]) -> None:
    """On the loop: run the coroutine of `make` until `done` has its result, or until `done` is cancelled."""
    if done.cancelled():
        return
    loop = asyncio.get_running_loop()
    task = loop.create_task(make())  # owned by `done`, whose callback holds it

    def report(task: asyncio.Task[T]) -> None:
        error = None if task.cancelled() else task.exception()
        with suppress(concurrent.futures.InvalidStateError):  # the caller was interrupted in the meantime
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
    """Asks one fleet for predictions, for code without asyncio.

    The arguments, results and errors are AsyncFleetClient's. Any number of threads may share one client and
    its connections. Its thread starts with the first call. Close it, or use it in a `with`; otherwise the
    garbage collector or the end of the program closes it.
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
        model: str | None = None,
        version: str | None = None,
        label: str | None = None,
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
            model=model,
            version=version,
            label=label,
        )
        self._proxy = self._make().proxy  # raise for wrong arguments now, not at the first call
        self._lock = threading.Lock()
        self._closed = False
        self._running: _StartedClient | None = None
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
        """Close the connections and end the thread. Calls of other threads fail; later calls raise
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
        """See AsyncFleetClient.classify_many. Leaving the loop over it early cancels the calls in
        progress.
        """
        running = self._started()
        outcomes = running.client.classify_many(sources, concurrency=concurrency, top=top)
        return _iterated(running.loop, _Stepped(outcomes))

    def embed(self, image: Source) -> ImageVector:
        """See AsyncFleetClient.embed."""
        running = self._started()
        return running.loop.run(lambda: running.client.embed(image))

    def embed_many(
        self, sources: Iterable[S], *, concurrency: int = DEFAULT_CONCURRENCY
    ) -> Generator[VectorOutcome[S], None, None]:
        """See AsyncFleetClient.embed_many. Leaving the loop over it early cancels the calls in progress."""
        running = self._started()
        outcomes = running.client.embed_many(sources, concurrency=concurrency)
        return _iterated(running.loop, _Stepped(outcomes))

    def predict(
        self,
        inputs: Row | Sequence[Row],
        *,
        signature: str | None = None,
        top: int | None = None,
        idempotent: bool | None = None,
    ) -> ModelAnswer:
        """See AsyncFleetClient.predict."""
        running = self._started()
        return running.loop.run(
            lambda: running.client.predict(inputs, signature=signature, top=top, idempotent=idempotent)
        )

    def predict_rows(
        self,
        rows: Iterable[Any],
        *,
        form: RowsForm | None = None,
        batch_rows: int = DEFAULT_BATCH_ROWS,
        concurrency: int = DEFAULT_BATCH_CONCURRENCY,
        signature: str | None = None,
        top: int | None = None,
        idempotent: bool | None = None,
    ) -> Generator[RowResult, None, None]:
        """See AsyncFleetClient.predict_rows. Leaving the loop over it early cancels the calls in progress."""
        running = self._started()
        results = running.client.predict_rows(
            rows,
            form=form,
            batch_rows=batch_rows,
            concurrency=concurrency,
            signature=signature,
            top=top,
            idempotent=idempotent,
        )
        return _iterated(running.loop, _Stepped(results))

    def workers(self) -> tuple[WorkerStatus, ...]:
        """See AsyncFleetClient.workers."""
        running = self._started()
        return running.loop.run(running.client.workers)

    def workers_document(self) -> dict[str, Any]:
        """See AsyncFleetClient.workers_document."""
        running = self._started()
        return running.loop.run(running.client.workers_document)

    def _started(self) -> _StartedClient:
        with self._lock:
            if self._closed:
                raise RuntimeError("the client is closed")
            if self._running is None:
                client = self._make()
                loop = LoopThread(client.close)
                # Also at the end of the program, while threads still run. It must not hold the FleetClient
                # itself.
                self._running = _StartedClient(loop, client, weakref.finalize(self, loop.close))
            return self._running

    def _forget(self) -> None:
        """In a forked child: leave the parent's thread and sockets alone, and start again with the next
        call.
        """
        self._lock = threading.Lock()  # another thread of the parent may have held it
        if self._running is not None:
            self._running.finalizer.detach()
            # Never collected: that would close the sockets and the selector that the parent still uses.
            _parents.append(self._running)
            self._running = None


@dataclass(frozen=True, slots=True)
class _StartedClient:
    loop: LoopThread
    client: AsyncFleetClient
    finalizer: weakref.finalize[[], FleetClient]


class _Stepped(Generic[T]):
    """An async generator that another thread iterates; that thread may be interrupted during a step."""

    def __init__(self, items: AsyncGenerator[T, None]) -> None:
        self._items = items
        self._step: asyncio.Task[Any] | None = None

    async def next(self) -> T | None:
        self._step = asyncio.current_task()
        return await anext(self._items, None)

    async def close(self) -> None:
        if self._step is not None:  # an interrupted step is cancelled, but may still be running
            await asyncio.wait([self._step])
        await self._items.aclose()


def _iterated(loop: LoopThread, items: _Stepped[T]) -> Generator[T, None, None]:
    try:
        while (item := loop.run(items.next)) is not None:
            yield item
    finally:
        with suppress(RuntimeError):  # the client was closed, and its loop has cleaned up
            loop.run(items.close)


_alive: Final[weakref.WeakSet[FleetClient]] = weakref.WeakSet()
_parents: Final[list[_StartedClient]] = []


def _forget_all() -> None:
    for client in list(_alive):
        client._forget()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forget_all)
