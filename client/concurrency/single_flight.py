"""One job at a time in the background, for whoever wants its result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

_CLOSED: Final = "the client is closed"


class SingleFlight(Generic[T]):
    """Owns one task. Whoever gives up waiting for it leaves it to the others."""

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<SingleFlight {'closed' if self._closed else 'busy' if self.busy else 'idle'}>"

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self._task is not None and not self._task.done()

    def begin(self, make: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The job under way or, if there is none, the one that `make` gives. RuntimeError when closed."""
        if self._closed:
            raise RuntimeError(_CLOSED)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(make())
        return self._task

    async def result(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the job that `begin` gives comes to. RuntimeError when it is closed meanwhile."""
        task = self.begin(make)
        await asyncio.wait([task])
        if task.cancelled():
            raise RuntimeError(_CLOSED)
        return task.result()

    async def close(self) -> None:
        """Cancel the job and wait for its end."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
