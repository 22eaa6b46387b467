"""Takes the jobs of one Redis, computes them, and stores their answers.

- It reserves free threads, reads as many jobs, and reads again as soon as a thread is free.
- It renews what it has every third of the visibility. If it stops doing so, other workers take its jobs.
- It takes the jobs of workers that renew no more, one at a time, and runs each alone (lanes.py).
- A job for which the worker has no room after all, or no time left, is queued again, and the worker takes
  fewer for some time (refusals.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from tfleet.jobs.errors import JobsUnavailableError, NoGroupError, UnsuitableRedisError
from tfleet.jobs.redis_check import check_redis, read_info
from tfleet.jobs.shard import Shard
from tfleet.runtime.backoff import Backoff
from tfleet.worker.jobs.call import CallApplication
from tfleet.worker.jobs.job_metrics import ShardCounts
from tfleet.worker.jobs.lanes import Lanes, Reservation
from tfleet.worker.jobs.running_jobs import ConsumerIdentity, RunningJobs
from tfleet.worker.jobs.shard_health import ShardHealth

READ_MS: Final = 1000
"""How long a read waits for a job: so long a drain waits for the read."""
_SCARCE_READ_MS: Final = 10
"""The same while the reads of other shards may wait for the thread that this one has reserved."""
_AGAIN: Final = Backoff(first_s=0.1, cap_s=5.0)
_RENEWALS: Final = 3
"""How often a job is renewed within the visibility."""


class ShardConsumer:
    """The jobs of one shard that this worker takes, until the lanes are stopped. It belongs to one event
    loop.
    """

    def __init__(
        self,
        shard: Shard,
        identity: ConsumerIdentity,
        lanes: Lanes,
        call: CallApplication,
        counts: ShardCounts,
    ) -> None:
        self._shard = shard
        self._me = identity
        self._lanes = lanes
        self._counts = counts
        self._log: Any = structlog.get_logger().bind(redis=str(shard.connection.url))
        self._health = ShardHealth(counts, self._log)
        self._jobs = RunningJobs(shard, identity, lanes, call, counts, self._health, self._log)
        self._unbegun: list[tuple[str, str]] = []
        """What was read and is not begun: entry and id of each."""
        self._loops = 2
        self._no_reads = asyncio.Event()
        self._rng = random.Random()  # noqa: S311 - spreads load, keeps no secret

    def __repr__(self) -> str:
        return f"<ShardConsumer {self._shard!r} {self._jobs!r}>"

    @property
    def tasks(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run until `end` has returned."""
        return [self._take, self._renew, self._take_abandoned]

    async def end(self, timeout_s: float) -> None:
        """Wait for the jobs that are computed, and queue the rest of them again. Stop the lanes first, and
        call `close` when the tasks have ended.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READ_MS / 1000 + timeout_s):
                # A read that is under way would take the jobs that are put back.
                await self._no_reads.wait()
                await self._jobs.ended()
        await self._jobs.give_back()
        await self._health.safely(self._put_unbegun_back())
        await self._health.safely(self._shard.leave(self._me.worker, self._me.stream))

    async def close(self) -> None:
        """Close the connections."""
        await self._shard.connection.close()

    async def _take(self) -> None:
        try:
            await self._for_ever(self._take_some)
        finally:
            self._loop_ends()

    async def _take_some(self) -> None:
        await self._prepare()
        while not self._lanes.stopped.is_set():
            await self._jobs.may_take_more()
            async with self._lanes.reserved() as reservation:
                if reservation.threads and not self._unbegun:
                    self._unbegun = await self._read(reservation)
                    self._health.is_back()
                if self._lanes.closed:  # since this read began
                    await self._put_unbegun_back()
                else:
                    await self._begin_unbegun(reservation)

    async def _read(self, reservation: Reservation) -> list[tuple[str, str]]:
        try:
            return await self._shard.connection.wait_for_entries(
                self._me.stream,
                self._me.worker,
                count=reservation.threads,
                wait_ms=_SCARCE_READ_MS if reservation.scarce else READ_MS,
            )
        except NoGroupError:  # by hand, or as this worker was cut off for long
            await self._shard.open_stream(self._me.stream)
            return []

    async def _begin_unbegun(self, reservation: Reservation) -> None:
        while self._unbegun and reservation.threads and not self._lanes.closed:
            with self._lanes.shared():
                # They stay in the list until Redis has answered: a worker that asks again is no other worker.
                some = self._unbegun[: reservation.threads]
                begun = await self._shard.begin(self._me.worker, self._me.stream, some)
                del self._unbegun[: begun.handled]
                for job in begun.jobs:
                    self._jobs.start(job)
                    self._lanes.use(reservation)

    async def _put_unbegun_back(self) -> None:
        while self._unbegun:
            await self._shard.put_back(self._me.worker, self._me.stream, self._unbegun[0], tried=False)
            del self._unbegun[0]

    async def _prepare(self) -> None:
        check_redis(read_info(await self._shard.connection.command("INFO")), str(self._shard.connection.url))
        await self._shard.open_stream(self._me.stream)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._me.visibility_s / _RENEWALS)
            await self._health.safely(self._renew_all())
            await self._health.safely(self._shard.open_stream(self._me.stream))

    async def _renew_all(self) -> None:
        entries = [*self._jobs.entries, *(entry for entry, _ in self._unbegun)]
        for entry in await self._shard.renew(self._me.worker, self._me.stream, entries):
            self._jobs.lose(entry)

    async def _take_abandoned(self) -> None:
        try:
            while not self._lanes.stopped.is_set():
                await self._pause(self._me.visibility_s / _RENEWALS * (0.5 + self._rng.random()))
                await self._health.safely(self._run_abandoned())
        finally:
            self._loop_ends()

    async def _run_abandoned(self) -> None:
        stream = self._me.stream
        # Redis may have been away for longer than the visibility: what this worker has is not abandoned.
        await self._renew_all()
        while await self._shard.has_abandoned(stream, self._me.visibility_ms):
            async with self._lanes.alone():
                if self._lanes.stopped.is_set():
                    return
                found = await self._shard.reclaim(self._me.worker, stream, self._me.visibility_ms)
                if found is None:
                    return
                for job in (await self._shard.begin(self._me.worker, stream, [found])).jobs:
                    self._log.warning("a job of another worker runs alone", job=job.id, of=job.deliveries)
                    self._counts.alone += 1
                    self._jobs.start(job)
                await self._lanes.shared_ended()

    async def _for_ever(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        failures, loop = 0, asyncio.get_running_loop()
        while not self._lanes.stopped.is_set():
            began_s = loop.time()
            try:
                await step()
            except (JobsUnavailableError, UnsuitableRedisError) as error:
                failures = 1 if loop.time() - began_s > _AGAIN.cap_s else failures + 1
                self._health.is_away(error)
                await self._pause(_AGAIN.delay_s(failures, self._rng))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._lanes.stopped.wait()

    def _loop_ends(self) -> None:
        self._loops -= 1
        if not self._loops:
            self._no_reads.set()
