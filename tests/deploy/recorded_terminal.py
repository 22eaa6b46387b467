"""A terminal that tests can read and wait on."""

from __future__ import annotations

import asyncio
import io
import re

_PATIENCE_S = 20.0


class RecordedTerminal(io.StringIO):
    """A terminal that keeps what was written and wakes who waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self._written = asyncio.Event()

    def write(self, text: str) -> int:
        self._written.set()
        return super().write(text)

    async def until(self, text: str, times: int = 1) -> None:
        """Wait until `text` was written so many times."""
        async with asyncio.timeout(_PATIENCE_S):
            while self.getvalue().count(text) < times:
                self._written.clear()
                await self._written.wait()

    def pids(self) -> list[int]:
        """Of all processes that were said to be started."""
        return [int(pid) for pid in re.findall(r"\(process (\d+)\)", self.getvalue())]
