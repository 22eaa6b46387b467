"""Several Redis as shards, and callers that wait."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.jobs import LIMITS, STREAM, new_job, running_queue
from tests.support.redis_server import DURABLE, RedisServer, redis_server
from tests.support.waiting import eventually
from tfleet.jobs.connect import shards_of
from tfleet.jobs.errors import (
    ForgottenJobError,
    JobsUnavailableError,
    KeyReusedError,
    QueueFullError,
    UnknownJobError,
)
from tfleet.jobs.job import JobAnswer, JobLimits, JobState
from tfleet.jobs.job_id import new_job_id, new_shard_identity
from tfleet.jobs.shard import Shard
from tfleet.jobs.sharded_queue import LOOK_EVERY_S, ShardedQueue

ANSWER = JobAnswer(200, {}, b"1")


async def answered(shard: Shard, worker: str = "w1") -> str:
    """Answer the next job of this shard."""
    await shard.open_stream(STREAM)
    entries = await shard.connection.wait_for_entries(STREAM, worker, count=1, wait_ms=1000)
    [job] = (await shard.begin(worker, STREAM, entries)).jobs
    assert await shard.finish(job, STREAM, ANSWER)
    return job.id


async def test_a_caller_is_woken_when_its_job_is_done(redis: RedisServer, shard: Shard, service: str) -> None:
    async with running_queue([redis], service) as queue:
        job_id = await queue.submit(new_job())
        waiting = [asyncio.create_task(queue.wait(job_id, 30)) for _ in range(20)]
        await asyncio.sleep(0.05)
        began_s = time.monotonic()
        assert await answered(shard) == job_id
        assert {record.state for record in await asyncio.gather(*waiting)} == {JobState.DONE}
        assert time.monotonic() - began_s < LOOK_EVERY_S / 2


async def test_a_wait_ends_without_an_answer(redis: RedisServer, service: str) -> None:
    async with running_queue([redis], service) as queue:
        job_id = await queue.submit(new_job())
        assert (await queue.wait(job_id, 0.05)).state is JobState.QUEUED


async def test_a_lost_message_delays_and_loses_nothing(
    redis: RedisServer, shard: Shard, service: str
) -> None:
    queue = ShardedQueue(shards_of([redis.url], service), LIMITS)  # nobody listens
    job_id = await queue.submit(new_job())
    waiting = asyncio.create_task(queue.wait(job_id, 30))
    await asyncio.sleep(0.05)
    await answered(shard)
    assert (await waiting).state is JobState.DONE
    assert await queue.answer_bytes(job_id) == len(ANSWER.body)
    assert (await queue.read(job_id, with_answer=True)).answer == ANSWER
    await queue.close()


async def test_ids_that_nobody_gave_out_are_unknown(redis: RedisServer, service: str) -> None:
    async with running_queue([redis], service) as queue:
        await queue.submit(new_job())
        for text in ("nonsense", new_job_id(new_shard_identity(), 1)):
            with pytest.raises(UnknownJobError):
                await queue.read(text)


async def test_a_forgotten_job_is_told_from_an_unknown_one(redis: RedisServer, service: str) -> None:
    async with running_queue([redis], service) as queue:
        job_id = await queue.submit(new_job())
        assert await queue.cancel(job_id) is JobState.QUEUED
        assert await queue.cancel(job_id) is JobState.CANCELLED
        for ask in (queue.read, queue.cancel):
            with pytest.raises(ForgottenJobError):
                await ask(job_id)


async def test_a_key_with_another_body_is_refused(redis: RedisServer, service: str) -> None:
    async with running_queue([redis], service) as queue:
        first = await queue.submit(new_job(b"1", key="k"))
        assert await queue.submit(new_job(b"1", key="k")) == first
        with pytest.raises(KeyReusedError):
            await queue.submit(new_job(b"2", key="k"))


async def test_a_full_queue_refuses(redis: RedisServer, service: str) -> None:
    async with running_queue([redis], service, JobLimits(1, 10_000_000)) as queue:
        await queue.submit(new_job())
        with pytest.raises(QueueFullError):
            await queue.submit(new_job())


async def test_deadlines_pass_while_a_proxy_runs(redis: RedisServer, service: str) -> None:
    async with running_queue([redis], service) as queue:
        job = new_job()
        job_id = await queue.submit(type(job)(job.request, job.target, type(job.times)(10, 60_000)))
        assert (await queue.wait(job_id, 20)).state is JobState.EXPIRED


@pytest.mark.process
async def test_a_shard_that_is_down_costs_only_its_jobs(
    tmp_path: Path, redis: RedisServer, service: str
) -> None:
    with redis_server(tmp_path, *DURABLE) as second:
        async with running_queue([redis, second], service) as queue:
            ids = [await queue.submit(new_job()) for _ in range(10)]
            shards = {job_id[:4] for job_id in ids}
            assert len(shards) == 2, "jobs are spread over both"
            await asyncio.to_thread(second.kill)
            readable = []
            for job_id in ids:
                try:
                    readable.append((await queue.read(job_id)).id)
                except JobsUnavailableError:
                    continue
            assert len(readable) == 5
            more = [await queue.submit(new_job()) for _ in range(5)]
            assert {job_id[:4] for job_id in more} == {readable[0][:4]}
            await asyncio.to_thread(second.start)

            async def all_readable() -> int:
                return len([await queue.read(job_id) for job_id in ids])

            assert await eventually(all_readable) == 10


@pytest.mark.process
async def test_one_key_always_has_the_same_shard(tmp_path: Path, redis: RedisServer, service: str) -> None:
    with redis_server(tmp_path) as second:
        keys = [f"key-{number}" for number in range(20)]
        async with (
            running_queue([redis, second], service) as one,
            running_queue([second, redis], service) as other,
        ):
            first = [await one.submit(new_job(key=key)) for key in keys]
            assert [await other.submit(new_job(key=key)) for key in keys] == first
            assert len({job_id[:4] for job_id in first}) == 2


@pytest.mark.process
async def test_a_queue_starts_before_its_redis(tmp_path: Path, service: str) -> None:
    server = RedisServer(tmp_path)
    async with running_queue([server], service) as queue:
        with pytest.raises(JobsUnavailableError):
            await queue.submit(new_job())
        with pytest.raises(JobsUnavailableError):
            await queue.read(new_job_id(new_shard_identity(), 1))
        await asyncio.to_thread(server.start)
        job_id = await queue.submit(new_job())
        assert (await queue.read(job_id)).state is JobState.QUEUED
    await asyncio.to_thread(server.stop)


async def test_one_key_is_one_job_at_two_proxies(redis: RedisServer, shard: Shard, service: str) -> None:
    async with running_queue([redis], service) as one, running_queue([redis], service) as other:
        calls = [queue.submit(new_job(key="k")) for queue in (one, other) * 50]
        assert len(set(await asyncio.gather(*calls))) == 1
    assert (await shard.totals()).jobs == 1


@pytest.mark.parametrize("name", ["Content-Type", "Content-Encoding", "Accept"])
async def test_a_header_may_make_it_another_request(redis: RedisServer, service: str, name: str) -> None:
    job = new_job(key="k")
    async with running_queue([redis], service) as queue:
        first = await queue.submit(job)
        same = replace(job.request, headers={**job.request.headers, "X-Request-Id": "another"})
        assert await queue.submit(replace(job, request=same)) == first
        other = replace(job.request, headers={**job.request.headers, name: "x"})
        with pytest.raises(KeyReusedError):
            await queue.submit(replace(job, request=other))
