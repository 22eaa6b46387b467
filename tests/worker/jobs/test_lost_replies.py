"""A worker that does not hear what Redis answers."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

import pytest
import structlog

from tests.support.job_consumer import settled
from tests.support.jobs import STREAM, queued
from tests.support.redis_server import RedisServer, shard_of
from tfleet.jobs.errors import JobsUnavailableError
from tfleet.jobs.job import JobAnswer, JobRequest, JobState, TakenJob
from tfleet.jobs.shard import MOST_BEGUN_BYTES, BegunJobs, Shard
from tfleet.worker.jobs.job_metrics import ShardCounts
from tfleet.worker.jobs.lanes import Lanes
from tfleet.worker.jobs.refusals import Refusals
from tfleet.worker.jobs.running_jobs import ConsumerIdentity, RunningJobs
from tfleet.worker.jobs.shard_consumer import ShardConsumer
from tfleet.worker.jobs.shard_health import ShardHealth
from tfleet.worker.wsgi.response import made

pytestmark = pytest.mark.process


class LosesOneReply(Shard):
    """Redis begins the first jobs, and the worker does not hear it."""

    lost = 0

    async def begin(
        self, worker: str, stream: str, entries: Sequence[tuple[str, str]], most_bytes: int = MOST_BEGUN_BYTES
    ) -> BegunJobs:
        begun = await super().begin(worker, stream, entries, most_bytes)
        if begun.jobs and not self.lost:
            self.lost += 1
            raise JobsUnavailableError("the reply was lost")
        return begun


class StoresNothing(Shard):
    """No answer reaches this Redis, until it may."""

    stores = False

    async def finish(self, job: TakenJob, stream: str, answer: JobAnswer) -> bool:
        if not self.stores:
            raise JobsUnavailableError("it is away")
        return await super().finish(job, stream, answer)


@pytest.mark.parametrize(("jobs", "answer_bytes"), [(64, 1), (1, 64 * 1024 * 1024)])
async def test_no_jobs_are_taken_while_answers_pile_up(shard: Shard, jobs: int, answer_bytes: int) -> None:
    away = StoresNothing(shard.connection)
    lanes = Lanes(lambda: 1, 1, Refusals(time.monotonic, random.Random(1)))
    counts, log, body = ShardCounts("redis"), structlog.get_logger(), bytes(answer_bytes)
    running = RunningJobs(
        away,
        ConsumerIdentity("w1", STREAM, visibility_s=600),
        lanes,
        lambda head, _, done: done(made("200 OK", [], (body,))),
        counts,
        ShardHealth(counts, log),
        log,
    )
    for number in range(jobs):
        await asyncio.wait_for(running.may_take_more(), 5)
        running.start(TakenJob(f"id{number}", f"{number + 1}-1", JobRequest("/predict", {}, b""), 1000))
    await asyncio.wait_for(lanes.shared_ended(), 5)  # what waits for Redis holds no lane
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(running.may_take_more(), 0.2)
    away.stores = True
    await asyncio.wait_for(running.may_take_more(), 10)
    await running.ended()


async def test_a_lost_reply_costs_no_time_and_no_delivery(
    redis: RedisServer, service: str, shard: Shard
) -> None:
    """The visibility is long: the worker asks again for what it has read."""
    async with shard_of(redis, service) as other:
        losing = LosesOneReply(other.connection)
        lanes = Lanes(lambda: 1, 1, Refusals(time.monotonic, random.Random(1)))
        consumer = ShardConsumer(
            losing,
            ConsumerIdentity("w1", STREAM, visibility_s=600),
            lanes,
            lambda head, body, done: done(made("200 OK", [], (body,))),
            ShardCounts("redis"),
        )
        tasks = [asyncio.create_task(task()) for task in consumer.tasks]
        record = await settled(shard, await queued(shard))
        lanes.stop()
        await consumer.end(timeout_s=1)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert (record.state, record.delivery.count, losing.lost) == (JobState.DONE, 1, 1)
