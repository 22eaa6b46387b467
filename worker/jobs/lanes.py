"""How many jobs a worker takes, and the turn of a job that has to run alone.

A job that was delivered before may be the reason why its worker died. It runs while no other job does, so
that no other job is condemned with it. Requests of clients go on: nobody delivers them again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

_LOOK_EVERY_S: Final = 0.02
"""A thread that a client's request has used becomes free without a word to us."""


class Lanes:
    """Counts what shares the worker. It belongs to one event loop. `free` says how many threads are free now;
    any thread may call it.
    """

    def __init__(self, free: Callable[[], int]) -> None:
        self._free = free
        self._sharing = 0
        self._alone = False
        self._changed = asyncio.Condition()

    def __repr__(self) -> str:
        return f"<Lanes sharing={self._sharing}{' alone' if self._alone else ''}>"

    @contextlib.asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Something that goes on beside others: a read, or a job. It waits while a job runs alone."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone)
            self._sharing += 1
        try:
            yield
        finally:
            await self._end_sharing()

    def share_again(self) -> None:
        """Begin another one, by one who shares already. `end_sharing` ends it."""
        self._sharing += 1

    async def end_sharing(self) -> None:
        """End what `share_again` began."""
        await self._end_sharing()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Wait until nothing else goes on, and let nothing begin inside the block."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone)
            self._alone = True
            try:
                await self._changed.wait_for(lambda: self._sharing == 0)
            except BaseException:
                self._alone = False
                self._changed.notify_all()
                raise
        try:
            yield
        finally:
            async with self._changed:
                self._alone = False
                self._changed.notify_all()

    async def room(self, given_up: Callable[[], bool]) -> int:
        """Wait until a thread is free, and return how many are; 0 where the wait was given up."""
        while not (given_up() or self._free()):  # noqa: ASYNC110 - nobody tells this loop of a free thread
            await asyncio.sleep(_LOOK_EVERY_S)
        return self._free()

    async def _end_sharing(self) -> None:
        async with self._changed:
            self._sharing -= 1
            self._changed.notify_all()
