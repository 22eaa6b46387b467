"""Blocking queries: requests that wait for a change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tfleet.discovery.embedded.errors import FullError


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    index: Callable[[], int]
    known: int
    woken: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class BlockingQueries:
    """Requests that wait until an index rises above the one they sent.

    At most `limit` at a time. Every `gone_check_s` seconds it is checked whether the client is still
    connected.
    """

    def __init__(self, limit: int, *, gone_check_s: float = 5.0) -> None:
        self._limit = limit
        self._gone_check_s = gone_check_s
        self._waiting: set[_Waiter] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<BlockingQueries waiting={len(self._waiting)} limit={self._limit} closed={self._closed}>"

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(
        self,
        index: Callable[[], int],
        known: int,
        timeout_s: float,
        *,
        gone: Callable[[], bool] = _never,
    ) -> None:
        """Return when `index()` is above `known`, after `timeout_s`, when `gone()` is true, or at `close`.

        Raises FullError if the limit is reached.
        """
        if index() > known or self._closed:
            return
        if len(self._waiting) >= self._limit:
            # Waiting requests hold memory and a socket each, and clients retry a 503.
            raise FullError(f"too many blocking queries: {self._limit} are held")
        waiter = _Waiter(index, known)
        self._waiting.add(waiter)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        try:
            while not waiter.woken.done() and (left_s := deadline - loop.time()) > 0 and not gone():
                # Not until the deadline at once: a disconnected client would keep its place for minutes.
                await asyncio.wait([waiter.woken], timeout=min(left_s, self._gone_check_s))
        finally:
            self._waiting.discard(waiter)

    def wake_waiters(self) -> None:
        """Wake the requests whose index has risen. Call it after each change."""
        for waiter in self._waiting:
            if waiter.index() > waiter.known and not waiter.woken.done():
                # Only marked here: the waiter reads the index itself when it runs, after all changes of this
                # iteration.
                waiter.woken.set_result(None)

    def close(self) -> None:
        """Wake all requests, and let no new ones wait."""
        self._closed = True
        for waiter in self._waiting:
            if not waiter.woken.done():
                waiter.woken.set_result(None)
