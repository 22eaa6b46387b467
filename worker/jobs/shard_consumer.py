"""Takes the jobs of one Redis, computes them, and stores their answers.

- It reads as many jobs as there are free threads, and reads again as soon as one is free.
- It renews what it has every third of the visibility. If it stops doing so, other workers take its jobs.
- It takes the jobs of workers that renew no more, one at a time, and runs each alone (lanes.py).
- A job for which the worker has no room after all, or no time left, is queued again.
- An answer that can't be stored is tried again for some minutes: to compute it anew costs more.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import structlog

from tfleet.jobs.errors import JobsUnavailableError, NoGroupError, UnsuitableRedisError
from tfleet.jobs.job import JobAnswer, TakenJob
from tfleet.jobs.redis_check import check_redis, read_info
from tfleet.jobs.shard import Shard
from tfleet.runtime.backoff import Backoff
from tfleet.worker.jobs.call import CallApplication, begin_call, was_computed
from tfleet.worker.jobs.job_metrics import JobResult, ShardCounts
from tfleet.worker.jobs.lanes import Lanes

READ_MS: Final = 1000
"""How long a read waits for a job: so long a drain and a job that runs alone wait for the read."""
_AGAIN: Final = Backoff(first_s=0.1, cap_s=5.0)
_MOST_TRIES: Final = 60
_MOST_RETURNS: Final = 100
"""A job that comes back this often gets the refusal as its answer."""
_AFTER_RETURN_S: Final = 0.2
_RENEWALS: Final = 3
"""How often a job is renewed within the visibility."""


@dataclass(frozen=True, slots=True)
class ConsumerIdentity:
    """Under which name a worker takes jobs, from which stream, and for how long it may stop renewing them."""

    worker: str
    stream: str
    visibility_s: float

    @property
    def visibility_ms(self) -> int:
        return int(self.visibility_s * 1000)


class ShardConsumer:
    """The jobs of one shard that this worker has. It belongs to one event loop."""

    def __init__(
        self,
        shard: Shard,
        identity: ConsumerIdentity,
        lanes: Lanes,
        call: CallApplication,
        counts: ShardCounts,
        *,
        shards: int,
    ) -> None:
        self._shard = shard
        self._me = identity
        self._lanes = lanes
        self._call = call
        self._counts = counts
        self._shards = shards
        self._has: dict[str, TakenJob] = {}
        """The jobs that are being computed, by their entries."""
        self._working: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._no_reads = asyncio.Event()
        self._away = False
        self._rng = random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._log: Any = structlog.get_logger().bind(redis=str(shard.connection.url))

    def __repr__(self) -> str:
        return f"<ShardConsumer {self._shard!r} has={len(self._has)}>"

    @property
    def tasks(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run until `stop` has returned."""
        return [self._take, self._renew, self._take_abandoned]

    async def stop(self, timeout_s: float) -> None:
        """Take no more jobs, wait for those that are being computed, and queue the rest of them again."""
        self._stopping = True
        try:
            async with asyncio.timeout(READ_MS / 1000 + timeout_s):
                # A read that is under way would take the jobs that are put back.
                await self._no_reads.wait()
                async with self._lanes.alone():  # no job is under way either
                    pass
        except TimeoutError:
            for task in self._working:
                task.cancel()
        for job in list(self._has.values()):
            await self._safely(self._shard.put_back(job, self._me.stream))
        await self._safely(self._shard.leave(self._me.worker, self._me.stream))
        await self._shard.connection.close()

    async def _take(self) -> None:
        try:
            await self._for_ever(self._take_some)
        finally:
            self._no_reads.set()

    async def _take_some(self) -> None:
        await self._prepare()
        while not self._stopping:
            room = await self._lanes.room(lambda: self._stopping)
            async with self._lanes.shared():
                if self._stopping:
                    return
                count = max(1, room // self._shards)
                entries = await self._read(count)
                self._is_back()
                for job in await self._shard.begin(self._me.worker, self._me.stream, entries):
                    self._begin(job)

    async def _read(self, count: int) -> list[tuple[str, str]]:
        try:
            return await self._shard.connection.wait_for_entries(
                self._me.stream, self._me.worker, count=count, wait_ms=READ_MS
            )
        except NoGroupError:  # by hand, or as this worker was cut off for long
            await self._shard.open_stream(self._me.stream)
            return []

    async def _prepare(self) -> None:
        check_redis(read_info(await self._shard.connection.command("INFO")), str(self._shard.connection.url))
        await self._shard.open_stream(self._me.stream)

    def _begin(self, job: TakenJob) -> None:
        self._has[job.entry] = job
        self._lanes.share_again()
        # Before the next look for free threads, so that this one counts.
        answer = begin_call(job, self._call)
        task = asyncio.get_running_loop().create_task(self._work_beside_others(job, answer))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _work_beside_others(self, job: TakenJob, coming: asyncio.Future[JobAnswer]) -> None:
        try:
            await self._work(job, coming)
        finally:
            await self._lanes.end_sharing()

    async def _work(self, job: TakenJob, coming: asyncio.Future[JobAnswer]) -> None:
        self._counts.running += 1
        try:
            await self._settle(job, await coming)
        finally:
            self._counts.running -= 1

    async def _settle(self, job: TakenJob, answer: JobAnswer) -> None:
        if not was_computed(answer):
            returns = await self._with_patience(lambda: self._shard.put_back(job, self._me.stream))
            if returns is None or returns < _MOST_RETURNS:
                self._has.pop(job.entry, None)
                self._counts.results[JobResult.QUEUED_AGAIN] += 1
                await asyncio.sleep(_AFTER_RETURN_S)  # holds a lane, so that the job does not come at once
                return
        await self._with_patience(lambda: self._finish(job, answer))
        self._has.pop(job.entry, None)

    async def _finish(self, job: TakenJob, answer: JobAnswer) -> None:
        if await self._shard.finish(job, self._me.stream, answer):
            self._counts.results[JobResult.ANSWERED] += 1
        else:
            self._counts.results[JobResult.NOT_NEEDED] += 1
            self._log.info("an answer was not needed any more", job=job.id)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._me.visibility_s / _RENEWALS)
            await self._safely(self._renew_all())
            await self._safely(self._shard.open_stream(self._me.stream))

    async def _renew_all(self) -> None:
        for entry in await self._shard.renew(self._me.worker, self._me.stream, list(self._has)):
            lost = self._has.pop(entry, None)
            if lost is not None:  # else it was finished meanwhile
                self._counts.results[JobResult.LOST] += 1
                self._log.warning("a job was cancelled, or went to another worker", job=lost.id)

    async def _take_abandoned(self) -> None:
        while not self._stopping:
            await asyncio.sleep(self._me.visibility_s / _RENEWALS * (0.5 + self._rng.random()))
            await self._safely(self._run_abandoned())

    async def _run_abandoned(self) -> None:
        stream = self._me.stream
        while not self._stopping and await self._shard.has_abandoned(stream, self._me.visibility_ms):
            async with self._lanes.alone():
                found = await self._shard.reclaim(self._me.worker, stream, self._me.visibility_ms)
                if found is None:
                    return
                for job in await self._shard.begin(self._me.worker, stream, [found]):
                    self._log.warning("a job of another worker runs alone", job=job.id, of=job.deliveries)
                    self._has[job.entry] = job
                    self._counts.alone += 1
                    await self._work(job, begin_call(job, self._call))

    async def _with_patience(self, step: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        for tries in range(1, _MOST_TRIES):
            try:
                return await step()
            except JobsUnavailableError as error:
                self._is_away(error)
            await asyncio.sleep(_AGAIN.delay_s(tries, self._rng))
        return None  # another worker takes it when the visibility is over

    async def _safely(self, step: Coroutine[Any, Any, Any]) -> None:
        try:
            await step
        except JobsUnavailableError as error:
            self._is_away(error)

    async def _for_ever(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        failures, loop = 0, asyncio.get_running_loop()
        while not self._stopping:
            began_s = loop.time()
            try:
                await step()
            except (JobsUnavailableError, UnsuitableRedisError) as error:
                failures = 1 if loop.time() - began_s > _AGAIN.cap_s else failures + 1
                self._is_away(error)
                await asyncio.sleep(_AGAIN.delay_s(failures, self._rng))

    def _is_away(self, error: Exception) -> None:
        self._counts.up = False
        if not self._away:
            self._away = True
            self._log.warning("jobs unavailable, retrying", error=str(error))

    def _is_back(self) -> None:
        self._counts.up = True
        if self._away:
            self._away = False
            self._log.info("jobs available again")
