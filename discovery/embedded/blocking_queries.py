"""Who waits for a change: the held half of blocking queries."""

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
    past: int
    woken: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class BlockingQueries:
    """Requests that wait until an index rises above the one they know.

    At most `limit` at a time; whether a client is still there is looked at every `gone_check_s`.
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
        past: int,
        timeout_s: float,
        *,
        gone: Callable[[], bool] = _never,
    ) -> None:
        """Return when `index()` is above `past`, after `timeout_s`, when `gone()` holds, or at `close`.

        Raises FullError where the limit is reached.
        """
        if index() > past or self._closed:
            return
        if len(self._waiting) >= self._limit:
            raise FullError(f"too many blocking queries: {self._limit} are held")
        waiter = _Waiter(index, past)
        self._waiting.add(waiter)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        try:
            while not waiter.woken.done() and (left_s := deadline - loop.time()) > 0 and not gone():
                await asyncio.wait([waiter.woken], timeout=min(left_s, self._gone_check_s))
        finally:
            self._waiting.discard(waiter)

    def ring(self) -> None:
        """Wake those whose index has risen. To be called after a change."""
        for waiter in self._waiting:
            if waiter.index() > waiter.past and not waiter.woken.done():
                waiter.woken.set_result(None)

    def close(self) -> None:
        """Wake everybody, and hold nobody any more."""
        self._closed = True
        for waiter in self._waiting:
            if not waiter.woken.done():
                waiter.woken.set_result(None)
