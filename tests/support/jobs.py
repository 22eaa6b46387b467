"""Jobs for tests: submitting and taking them with as few words as possible."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from tests.support.redis_server import RedisServer
from tfleet.jobs.connect import shards_of
from tfleet.jobs.job import JobAnswer, JobLimits, JobRequest, JobTarget, JobTimes, NewJob, TakenJob
from tfleet.jobs.job_id import new_job_id
from tfleet.jobs.shard import Shard, Submitted
from tfleet.jobs.sharded_queue import ShardedQueue

LIMITS = JobLimits(max_jobs=1000, max_bytes=10_000_000)
TARGET = JobTarget("flowers", "1")
STREAM = TARGET.stream
SECONDS = JobTimes(timeout_ms=60_000, keep_ms=60_000)
NOW_MS = 1_800_000_000_000


def new_job(
    body: bytes = b"{}", *, key: str = "", times: JobTimes = SECONDS, target: JobTarget = TARGET
) -> NewJob:
    headers = {"Content-Type": "application/json"}
    return NewJob(JobRequest("/predict", headers, body), target, times, "/jobs", key)


async def submitted(shard: Shard, job: NewJob, limits: JobLimits = LIMITS) -> Submitted:
    """Under a new id."""
    return await shard.submit(new_job_id(await shard.identity(), NOW_MS), job, limits)


async def queued(
    shard: Shard, body: bytes = b"{}", *, times: JobTimes = SECONDS, target: JobTarget = TARGET
) -> str:
    """The id of a job that was accepted."""
    found = await submitted(shard, new_job(body, times=times, target=target))
    assert found.outcome == "accepted"
    return found.id


async def taken(shard: Shard, worker: str = "w1", count: int = 10) -> list[TakenJob]:
    """What a worker gets at once, or soon."""
    await shard.open_stream(STREAM)
    entries = await shard.connection.wait_for_entries(STREAM, worker, count=count, wait_ms=100)
    return list((await shard.begin(worker, STREAM, entries)).jobs)


@contextlib.asynccontextmanager
async def answering(
    shard: Shard, answer: Callable[[TakenJob], JobAnswer], stream: str = STREAM
) -> AsyncIterator[list[TakenJob]]:
    """A worker of few words: it answers each job inside the block. Gives the list of those that it had."""
    had: list[TakenJob] = []

    async def work() -> None:
        await shard.open_stream(stream)
        while True:
            entries = await shard.connection.wait_for_entries(stream, "answering", count=1, wait_ms=1000)
            for job in (await shard.begin("answering", stream, entries)).jobs:
                had.append(job)
                await shard.finish(job, stream, answer(job))

    task = asyncio.create_task(work())
    try:
        yield had
    finally:
        task.cancel()
        await asyncio.wait([task])


def echo(job: TakenJob) -> JobAnswer:
    """The job's body, as the answer."""
    return JobAnswer(200, {"Content-Type": "text/plain", "X-Model": "flowers/1"}, job.request.body)


@contextlib.asynccontextmanager
async def running_queue(
    servers: Sequence[RedisServer], service: str, limits: JobLimits = LIMITS
) -> AsyncIterator[ShardedQueue]:
    """A queue as a proxy has it, inside the block."""
    queue = ShardedQueue(shards_of([server.url for server in servers], service), limits)
    tasks = [asyncio.create_task(task()) for task in queue.tasks]
    try:
        yield queue
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await queue.close()


async def answered(shard: Shard, worker: str = "w1") -> str:
    """Answer the next job of this shard. Returns its id."""
    [job] = await taken(shard, worker, count=1)
    assert await shard.finish(job, STREAM, echo(job))
    return job.id
