"""How long a worker may keep its caller waiting without anything moving."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Patience:
    """Ends a block with TimeoutError when nothing has moved for `seconds`; with None it never does.

    It counts from the first `moved` on, so that the wait for a free connection is nobody's fault. A large
    image on a slow link takes as long as it takes: each piece of it that goes is a move.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)
        self._running = False

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._running = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        await self._timeout.__aexit__(kind, error, trace)

    def moved(self) -> None:
        """Start waiting anew."""
        # What writes the body may say so once more when nobody waits any longer.
        if self._seconds is not None and self._running and not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._seconds)
