"""A timeout that restarts whenever bytes are sent or received."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class InactivityTimeout:
    """Ends a block with TimeoutError when `progress` was not called for `seconds`; with None it never does.

    It counts from the first call, so that the wait for a free connection does not count. A large image may
    take as long as it needs on a slow link, because each piece is progress. Progress is frequent and timeouts
    are rare, so a call only stores the time, and a single timer checks it.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._timeout = None if seconds is None else asyncio.timeout(None)
        self._running = False
        self._progress_at_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        if self._timeout is not None:
            await self._timeout.__aenter__()
            self._running = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
        if self._timeout is not None:
            await self._timeout.__aexit__(kind, error, trace)

    def progress(self) -> None:
        """Restart the timeout."""
        # The task that writes the body may call this once more after the block has ended.
        if self._running:
            assert self._seconds is not None
            loop = asyncio.get_running_loop()
            self._progress_at_s = loop.time()
            if self._timer is None:
                self._timer = loop.call_at(self._progress_at_s + self._seconds, self._check, loop)

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._seconds is not None
        assert self._timeout is not None
        until_s = self._progress_at_s + self._seconds
        if loop.time() >= until_s:
            # In the past: asyncio then cancels the block at once, as its own timeout would.
            self._timeout.reschedule(loop.time())
        else:
            self._timer = loop.call_at(until_s, self._check, loop)
