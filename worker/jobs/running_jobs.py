"""The jobs of one Redis that a worker has, from the call of its application to the stored answer.

A lane is given back when the answer is there, before it is stored. An answer that can't be stored is tried
again for some minutes: to compute it anew costs more. No more jobs of this Redis are taken while such answers
are many or large.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from tfleet.jobs.errors import JobsUnavailableError
from tfleet.jobs.job import JobAnswer, TakenJob
from tfleet.jobs.shard import Shard
from tfleet.runtime.backoff import Backoff
from tfleet.worker.jobs.call import CallApplication, begin_call, was_computed
from tfleet.worker.jobs.job_metrics import JobResult, ShardCounts
from tfleet.worker.jobs.lanes import Lanes
from tfleet.worker.jobs.shard_health import ShardHealth

_AGAIN: Final = Backoff(first_s=0.1, cap_s=5.0)
_MOST_TRIES: Final = 60
_MOST_UNSTORED: Final = 64
_MOST_UNSTORED_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ConsumerIdentity:
    """Under which name a worker takes jobs, from which stream, and for how long it may stop renewing them."""

    worker: str
    stream: str
    visibility_s: float

    @property
    def visibility_ms(self) -> int:
        return int(self.visibility_s * 1000)


class RunningJobs:
    """It belongs to one event loop."""

    def __init__(
        self,
        shard: Shard,
        identity: ConsumerIdentity,
        lanes: Lanes,
        call: CallApplication,
        counts: ShardCounts,
        health: ShardHealth,
        log: Any,
    ) -> None:
        self._shard = shard
        self._me = identity
        self._lanes = lanes
        self._call = call
        self._counts = counts
        self._health = health
        self._log = log
        self._has: dict[str, TakenJob] = {}
        """The jobs without a stored answer, by their entries."""
        self._computing: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._unstored = 0
        self._unstored_bytes = 0
        self._rng = random.Random()  # noqa: S311 - spreads load, keeps no secret

    def __repr__(self) -> str:
        return f"<RunningJobs {len(self._computing)} computed now, {self._unstored} to store>"

    @property
    def entries(self) -> list[str]:
        """What has to be renewed."""
        return list(self._has)

    async def may_take_more(self) -> None:
        """Wait while too many answers are to be stored."""
        await self._lanes.until(
            lambda: self._unstored < _MOST_UNSTORED and self._unstored_bytes < _MOST_UNSTORED_BYTES
        )

    def start(self, job: TakenJob) -> None:
        """Compute a job. A thread is taken before this returns."""
        self._has[job.entry] = job
        self._computing.add(job.entry)
        self._lanes.share()
        answer = begin_call(job, self._call)
        task = asyncio.get_running_loop().create_task(self._work(job, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def lose(self, entry: str) -> None:
        """Another worker has this job now, or it was cancelled."""
        lost = self._has.pop(entry, None)
        if lost is not None:  # else it was finished meanwhile
            self._counts.results[JobResult.LOST] += 1
            self._log.warning("a job was cancelled, or went to another worker", job=lost.id)

    async def ended(self) -> None:
        """Wait until all answers are stored."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def give_back(self) -> None:
        """Queue what has no stored answer again, as the worker ends."""
        computing = set(self._computing)
        for task in self._tasks:
            task.cancel()
        await self.ended()
        for job in list(self._has.values()):
            # One that is still computed may be the reason why the worker had to be stopped.
            await self._health.safely(self._put_back(job, tried=job.entry in computing))

    async def _work(self, job: TakenJob, coming: asyncio.Future[JobAnswer]) -> None:
        self._counts.running += 1
        try:
            answer = await coming
            self._computing.discard(job.entry)
            if was_computed(answer):
                self._lanes.computed()
            elif self._lanes.refused():
                self._log.warning("a job was refused, taking fewer", job=job.id, status=answer.status)
        finally:
            self._counts.running -= 1
            self._lanes.end_sharing()
        await self._settle(job, answer)

    async def _settle(self, job: TakenJob, answer: JobAnswer) -> None:
        held_bytes = len(job.request.body) + len(answer.body)
        self._unstored += 1
        self._unstored_bytes += held_bytes
        try:
            if was_computed(answer):
                await self._patiently(lambda: self._store(job, answer))
            else:
                await self._patiently(lambda: self._put_back(job, tried=False))
        finally:
            self._unstored -= 1
            self._unstored_bytes -= held_bytes
            self._lanes.changed()
        self._has.pop(job.entry, None)

    async def _store(self, job: TakenJob, answer: JobAnswer) -> None:
        if await self._shard.finish(job, self._me.stream, answer):
            self._counts.results[JobResult.ANSWERED] += 1
        else:
            self._counts.results[JobResult.NOT_NEEDED] += 1
            self._log.info("an answer was not needed any more", job=job.id)

    async def _put_back(self, job: TakenJob, *, tried: bool) -> None:
        if await self._shard.put_back(self._me.worker, self._me.stream, (job.entry, job.id), tried=tried):
            self._counts.results[JobResult.QUEUED_AGAIN] += 1

    async def _patiently(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        for tries in range(1, _MOST_TRIES):
            try:
                return await step()
            except JobsUnavailableError as error:
                self._health.is_away(error)
            await asyncio.sleep(_AGAIN.delay_s(tries, self._rng))
        return None  # another worker takes it when the visibility is over
