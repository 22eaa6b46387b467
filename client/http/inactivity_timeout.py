"""How long a worker may keep its caller waiting without anything moving."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class InactivityTimeout:
    """Ends a block with TimeoutError when nothing has moved for `seconds`; with None it never does.

    It counts from the first `moved` on, so that the wait for a free connection is nobody's fault. A large
    image on a slow link takes as long as it takes: each piece of it that goes is a move. There are many moves
    and hardly ever silence, so a move is only noted, and one timer looks at the last one.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._timeout = None if seconds is None else asyncio.timeout(None)
        self._running = False
        self._moved_at_s = 0.0
        self._look: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        if self._timeout is not None:
            await self._timeout.__aenter__()
            self._running = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        if self._look is not None:
            self._look.cancel()
        if self._timeout is not None:
            await self._timeout.__aexit__(kind, error, trace)

    def moved(self) -> None:
        """Start waiting anew."""
        # What writes the body may say so once more when nobody waits any longer.
        if self._running:
            assert self._seconds is not None
            loop = asyncio.get_running_loop()
            self._moved_at_s = loop.time()
            if self._look is None:
                self._look = loop.call_at(self._moved_at_s + self._seconds, self._end_or_wait, loop)

    def _end_or_wait(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._seconds is not None
        assert self._timeout is not None
        until_s = self._moved_at_s + self._seconds
        if loop.time() >= until_s:
            self._timeout.reschedule(loop.time())
        else:
            self._look = loop.call_at(until_s, self._end_or_wait, loop)
