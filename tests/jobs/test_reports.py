"""Faults that were reported of other queues, by the number of the report. These need processes; the others:

- taskiq-python/taskiq-redis#101: tests/worker/jobs/test_consumer.py
- safe-global/safe-decoder-service#329 and redis/redis#6199: tests/jobs/test_redelivery.py
- redis/redis-py#3138: tests/jobs/test_redis_connection.py
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.support.jobs import STREAM, echo, queued, taken
from tests.support.redis_server import RedisServer, redis_server
from tests.support.waiting import eventually
from tfleet.jobs.connect import shards_of
from tfleet.jobs.job import JobRecord, JobState
from tfleet.jobs.shard import Shard

pytestmark = pytest.mark.process

VISIBILITY_S = 0.5


@contextlib.asynccontextmanager
async def several_redis(tmp_path: Path, count: int) -> AsyncIterator[tuple[list[RedisServer], list[Shard]]]:
    with contextlib.ExitStack() as stack:
        servers = []
        for number in range(count):
            folder = tmp_path / str(number)
            folder.mkdir()
            servers.append(stack.enter_context(redis_server(folder)))
        shards = shards_of([server.url for server in servers], "reports")
        yield servers, list(shards)
        for shard in shards:
            await shard.connection.close()


async def worker_process(servers: Sequence[RedisServer]) -> asyncio.subprocess.Process:
    urls = ",".join(server.url.text for server in servers)
    command = ("tests.support.job_consumer", urls, "reports", "killed", str(VISIBILITY_S))
    return await asyncio.create_subprocess_exec(sys.executable, "-m", *command)


async def in_state(shard: Shard, job_id: str, state: JobState) -> JobRecord:
    async def look() -> JobRecord | None:
        return await shard.read(job_id)

    found = await eventually(look, wanted=lambda record: record is not None and record.state is state)
    assert found is not None
    return found


@pytest.mark.parametrize("count", [1, 3])
async def test_taskiq_redis_131_a_kill_during_reclaim(tmp_path: Path, count: int) -> None:
    """There a worker that was killed while it reclaimed kept its lock, and nobody else could."""
    async with several_redis(tmp_path, count) as (servers, shards):
        for shard in shards:
            await queued(shard, b"poison")  # kills who reclaims it
            for _ in range(3):
                await queued(shard, b"good")
            assert len(await taken(shard, "dead")) == 4
        worker = await worker_process(servers)
        assert await worker.wait() == -signal.SIGKILL
        for shard in shards:
            await asyncio.sleep(VISIBILITY_S)
            had = set()
            while reclaimed := await shard.reclaim("other", STREAM, int(VISIBILITY_S * 1000)):
                had.add(reclaimed[1])
            # At the second death the poison is dead; what the worker had answered before is not open.
            assert had == {record.id for record in await shard.list()}


@pytest.mark.parametrize("count", [1, 3])
async def test_taskiq_redis_130_a_kill_after_delivery(tmp_path: Path, count: int) -> None:
    """There what a killed worker had was never delivered again, where Redis was not a single one."""
    async with several_redis(tmp_path, count) as (servers, shards):
        ids = [await queued(shard, b"hang") for shard in shards]
        worker = await worker_process(servers)
        for shard, job_id in zip(shards, ids, strict=True):
            await in_state(shard, job_id, JobState.RUNNING)
        worker.kill()
        await worker.wait()
        for shard, job_id in zip(shards, ids, strict=True):
            reclaimed = await eventually(partial(shard.reclaim, "other", STREAM, int(VISIBILITY_S * 1000)))
            assert reclaimed is not None
            [job] = (await shard.begin("other", STREAM, [reclaimed])).jobs
            assert (job.id, job.deliveries) == (job_id, 2)
            assert await shard.finish(job, STREAM, echo(job))
