"""Run one job at a time in the background; all callers share its result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

_CLOSED: Final = "the client is closed"


class SingleFlight(Generic[T]):
    """Owns one task. A caller that stops waiting does not cancel it for the others."""

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<SingleFlight {'closed' if self._closed else 'busy' if self.busy else 'idle'}>"

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._task is not None and not self._task.done()

    def begin(self, make: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The running job or, if there is none, a new one from `make`. Raises RuntimeError when closed."""
        if self._closed:
            raise RuntimeError(_CLOSED)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(make())
        return self._task

    async def result(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the job that `begin` returns. Raises RuntimeError if this is closed meanwhile."""
        task = self.begin(make)
        # Not `await task`: if this caller is cancelled, the task goes on for the others.
        await asyncio.wait([task])
        if task.cancelled():
            raise RuntimeError(_CLOSED)
        return task.result()

    async def close(self) -> None:
        """Cancel the job and wait until it has ended."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
