"""The queue as a proxy uses it: several shards, each of which keeps its own jobs.

- A job goes to the next shard that answers and has room. A shard that is down costs only its own jobs.
- With an Idempotency-Key the key chooses the shard, by its address: all proxies have to write the addresses
  alike. If that shard is down there is no other, as nobody knows whether it has the job.
- The id of a job names its shard.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from tfleet.jobs.counts import ShardReport
from tfleet.jobs.errors import (
    ForgottenJobError,
    JobsUnavailableError,
    KeyReusedError,
    QueueFullError,
    RedisFullError,
    UnknownJobError,
    UnsuitableRedisError,
)
from tfleet.jobs.job import JobLimits, JobRecord, JobState, NewJob
from tfleet.jobs.job_id import new_job_id, read_job_id
from tfleet.jobs.shard import Shard, SubmitOutcome
from tfleet.jobs.shard_watch import ShardWatch

LOOK_EVERY_S: Final = 5.0
"""A message that a job is settled may be lost: whoever waits looks this often by himself."""


class ShardedQueue:
    """All shards of a service. It belongs to one event loop. `limits` are those of each shard."""

    def __init__(
        self,
        shards: Sequence[Shard],
        limits: JobLimits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.limits = limits
        self._watches = tuple(ShardWatch(shard) for shard in shards)
        self._turns = itertools.count()
        self._clock = clock

    def __repr__(self) -> str:
        return f"<ShardedQueue {self._watches}>"

    @property
    def shards(self) -> tuple[Shard, ...]:
        """All shards, whether they answer or not."""
        return tuple(watch.shard for watch in self._watches)

    @property
    def reports(self) -> tuple[ShardReport, ...]:
        """What is known of each shard. Any thread may ask."""
        return tuple(watch.report for watch in self._watches)

    @property
    def tasks(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run as long as the queue is used; all of it is endless."""
        return [task for watch in self._watches for task in (watch.listen, watch.expire)]

    async def close(self) -> None:
        """Close all connections."""
        for watch in self._watches:
            await watch.shard.connection.close()

    async def submit(self, job: NewJob) -> str:
        """Queue a job, and return its id: that of an earlier job if it has the same Idempotency-Key.

        Raises QueueFullError, KeyReusedError and JobsUnavailableError. After the last one the job may have
        been accepted: only with an Idempotency-Key is it safe to submit it again.
        """
        failure: Exception = JobsUnavailableError("no Redis answers")
        for watch in self._candidates(job.key):
            try:
                identity = await watch.known_identity()
                job_id = new_job_id(identity, int(self._clock() * 1000))
                found = await watch.shard.submit(job_id, job, self.limits)
            except RedisFullError as error:
                failure = QueueFullError(f"{error}: see its maxmemory")
                continue
            except (JobsUnavailableError, UnsuitableRedisError) as error:
                watch.is_away(error)
                failure = failure if isinstance(failure, QueueFullError) else error
                continue
            if found.outcome is SubmitOutcome.DIFFERS:
                raise KeyReusedError
            if found.outcome is not SubmitOutcome.FULL:
                return found.id
            failure = QueueFullError("see --max-jobs and --max-jobs-bytes")
        raise failure

    async def read(self, job_id: str, *, with_answer: bool = False) -> JobRecord:
        """A job as it is now. Raises UnknownJobError, ForgottenJobError and JobsUnavailableError."""
        return await _read(self._watch_of(job_id), job_id, with_answer=with_answer)

    async def answer_bytes(self, job_id: str) -> int:
        """How large the answer of a job is. Raises what `read` raises."""
        return await self._watch_of(job_id).shard.answer_bytes(job_id)

    async def wait(self, job_id: str, wait_s: float) -> JobRecord:
        """A job as soon as it is settled, or as it is after `wait_s`. Without its answer, which may be large,
        as many may wait for it. Raises what `read` raises.
        """
        watch, loop = self._watch_of(job_id), asyncio.get_running_loop()
        until_s = loop.time() + wait_s
        with watch.waiters.waiting(job_id) as settled:
            while True:
                settled.clear()  # before the look: what is settled after it sets it again
                record = await _read(watch, job_id)
                left_s = until_s - loop.time()
                if not record.state.is_open or left_s <= 0:
                    return record
                try:
                    async with asyncio.timeout(min(left_s, LOOK_EVERY_S)):
                        await settled.wait()
                except TimeoutError:
                    continue

    async def cancel(self, job_id: str) -> JobState:
        """End an open job, or forget another one. Returns the state it had; raises what `read` raises."""
        state = await self._watch_of(job_id).shard.cancel(job_id)
        if state is None:
            raise ForgottenJobError
        return state

    async def list(self, *, dead: bool, most: int) -> tuple[list[JobRecord], list[str]]:
        """The open or the dead jobs, up to `most` of each shard, and the shards that do not answer."""
        found: list[JobRecord] = []
        away: list[str] = []
        for watch in self._watches:
            try:
                found += await watch.shard.list(dead=dead, most=most)
            except JobsUnavailableError as error:
                away.append(str(error))
        return found, away

    def _watch_of(self, job_id: str) -> ShardWatch:
        parsed = read_job_id(job_id)
        if parsed is None:
            raise UnknownJobError
        for watch in self._watches:
            if watch.identity is not None and parsed.is_of(watch.identity):
                return watch
        if any(watch.identity is None for watch in self._watches):
            raise JobsUnavailableError("the Redis that may have this job has not answered yet")
        raise UnknownJobError

    def _candidates(self, key: str) -> Sequence[ShardWatch]:
        """The shards to try, in this order."""
        watches = self._watches
        if key:
            return [max(watches, key=lambda watch: _weight(key, str(watch.shard.connection.url)))]
        first = next(self._turns) % len(watches)
        in_turn = (*watches[first:], *watches[:first])
        return sorted(in_turn, key=lambda watch: watch.away)  # one that hangs costs seconds


async def _read(watch: ShardWatch, job_id: str, *, with_answer: bool = False) -> JobRecord:
    record = await watch.shard.read(job_id, with_answer=with_answer)
    if record is None:
        raise ForgottenJobError
    return record


def _weight(key: str, shard: str) -> bytes:
    """Rendezvous hashing: a shard that is added takes only its own part of the keys."""
    return hashlib.sha256(f"{shard} {key}".encode()).digest()
