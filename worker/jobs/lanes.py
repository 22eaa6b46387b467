"""How many jobs a worker takes, and the turn of a job that has to run alone.

- A read reserves the threads that it may fill, so that the reads of several shards take no more together.
- A job that was delivered before may be the reason why its worker died. It runs while no other job does, so
  that no other job is condemned with it. Requests of clients go on: nobody delivers them again.
- A lane is for what computes only. Whatever waits for a Redis holds none: one that is away would hold up the
  jobs of all others.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from tfleet.worker.jobs.refusals import Refusals


@dataclass(slots=True)
class Reservation:
    """Threads for the jobs that one read brings; 0 once the worker takes no more. It is `scarce` where others
    may wait for these threads.
    """

    threads: int
    scarce: bool


class Lanes:
    """Counts what shares the worker. It belongs to the running event loop. `free` says how many threads are
    free now; any thread may call it.
    """

    def __init__(self, free: Callable[[], int], shards: int, refusals: Refusals) -> None:
        self._loop = asyncio.get_running_loop()
        self._free = free
        self._shards = shards
        self._refusals = refusals
        self._reserved = 0
        self._sharing = 0
        self._alone = False
        self._turn = asyncio.Lock()
        """Shards get threads in the order in which they asked."""
        self._looking = 0
        self._change = asyncio.Event()
        self.stopped = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Lanes sharing={self._sharing} reserved={self._reserved}{' alone' if self._alone else ''}>"

    @property
    def closed(self) -> bool:
        """Whether no job may begin beside others: one runs alone, or is to, or the last one was refused."""
        return self._alone or self._refusals.pause_s > 0

    def stop(self) -> None:
        """End all waits: no more jobs are taken."""
        self.stopped.set()
        self.changed()

    def changed(self) -> None:
        """Let all that wait look again."""
        event, self._change = self._change, asyncio.Event()
        event.set()

    def thread_freed(self) -> None:
        """A thread may be free. Called from any thread, after each request: it costs nothing while no read
        waits for one.
        """
        if self._looking:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self.changed)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until this holds, or no more jobs are taken."""
        self._looking += 1  # before the look, so that no thread is missed
        try:
            while not (self.stopped.is_set() or holds()):
                await self._change.wait()
        finally:
            self._looking -= 1

    @contextlib.asynccontextmanager
    async def reserved(self) -> AsyncIterator[Reservation]:
        """Wait for free threads, and reserve a share of them inside the block."""
        async with self._turn:
            await self.until(lambda: self._room() > 0)
            room = 0 if self.stopped.is_set() else self._room()
            mine = Reservation(max(1, room // self._shards) if room else 0, scarce=room < self._shards)
            self._reserved += mine.threads
        try:
            yield mine
        finally:
            self._reserved -= mine.threads
            self.changed()

    def use(self, reservation: Reservation) -> None:
        """A job has taken one of these threads: now the server counts it."""
        reservation.threads -= 1
        self._reserved -= 1

    def share(self) -> None:
        """Begin to compute beside others."""
        self._sharing += 1

    def end_sharing(self) -> None:
        """End what `share` began."""
        self._sharing -= 1
        self.changed()

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Share inside the block."""
        self.share()
        try:
            yield
        finally:
            self.end_sharing()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Wait until no job is computed and a thread is free. No other begins inside the block, unless
        `stopped` is set.
        """
        await self.until(lambda: not self._alone)
        self._alone = True
        try:
            await self.shared_ended()
            await self.until(lambda: self._free() > 0 and not self._refusals.pause_s)
            yield
        finally:
            self._alone = False
            self.changed()

    async def shared_ended(self) -> None:
        """Wait until all that shared have ended, by one who is alone."""
        await self.until(lambda: self._sharing == 0)

    def computed(self) -> None:
        """A job was computed."""
        self._refusals.computed()

    def refused(self) -> bool:
        """A job was refused: take fewer. Whether it is the first in a row."""
        first = not self._refusals.trying
        if self._refusals.refused():
            self._loop.call_later(self._refusals.pause_s + 0.001, self.changed)
        return first

    def _room(self) -> int:
        if self.closed:
            return 0
        room = max(0, self._free() - self._reserved)
        if not self._refusals.trying:
            return room
        # One job to see whether it is refused, too.
        return 0 if self._sharing or self._reserved else min(room, 1)
