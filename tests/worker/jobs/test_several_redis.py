"""A worker with several Redis: one that is away costs its own jobs only, and all share the threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.job_consumer import VISIBILITY_S, settled, worker
from tests.support.jobs import STREAM, queued, taken
from tests.support.redis_server import DURABLE, RedisServer, redis_server, shard_of
from tests.support.waiting import eventually
from tfleet.jobs.counts import Counted
from tfleet.jobs.job import JobState
from tfleet.jobs.shard import Shard

pytestmark = pytest.mark.process


@pytest.fixture
async def second(tmp_path: Path, service: str) -> AsyncIterator[tuple[RedisServer, Shard]]:
    """Another Redis, which keeps its jobs when it is killed."""
    with redis_server(tmp_path, *DURABLE) as server:
        async with shard_of(server, service) as shard:
            yield server, shard


class Gate:
    """An application that answers `held` only when it may."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.open = threading.Event()

    def answer(self, body: bytes, environ: dict[str, Any]) -> tuple[int, bytes]:
        if body == b"held":
            self.began.set()
            self.open.wait(30)
        return 200, body


async def is_done(shard: Shard, job_id: str) -> bool:
    record = await shard.read(job_id)
    return record is not None and record.state is JobState.DONE


@pytest.mark.parametrize("abandoned_there", [False, True])
async def test_a_redis_that_is_away_costs_its_own_jobs_only(
    redis: RedisServer, service: str, shard: Shard, second: tuple[RedisServer, Shard], abandoned_there: bool
) -> None:
    """It is killed while its job is computed: as any other, or alone after the death of another worker."""
    gate, (killed, killed_shard) = Gate(), second
    held = await queued(killed_shard, b"held")
    if abandoned_there:
        await taken(killed_shard, "dead")
    abandoned = await queued(shard, b"abandoned")
    [had] = await taken(shard, "dies")

    async def live() -> None:
        while True:
            await shard.renew("dies", STREAM, [had.entry])
            await asyncio.sleep(VISIBILITY_S / 10)

    living = asyncio.create_task(live())
    async with worker([redis, killed], service, gate.answer, visibility_s=VISIBILITY_S, drain_s=0.1):
        await asyncio.to_thread(gate.began.wait, 20)
        await asyncio.to_thread(killed.kill)
        living.cancel()
        await asyncio.wait([living])
        gate.open.set()
        assert (await settled(shard, abandoned)).delivery.count == 2
        for job_id in [await queued(shard) for _ in range(5)]:
            assert await eventually(partial(is_done, shard, job_id), timeout_s=10)
        await asyncio.to_thread(killed.start)
        assert (await settled(killed_shard, held)).state is JobState.DONE


async def test_all_shards_share_the_threads(
    redis: RedisServer, service: str, shard: Shard, second: tuple[RedisServer, Shard]
) -> None:
    gate, (other, other_shard) = Gate(), second
    jobs = [(each, await queued(each, b"held")) for each in (shard, other_shard) for _ in range(2)]
    async with worker([redis, other], service, gate.answer, threads=1):
        await asyncio.to_thread(gate.began.wait, 20)
        await asyncio.sleep(0.5)
        states = [record.state for each in (shard, other_shard) for record in await each.list()]
        assert states.count(JobState.RUNNING) == 1
        gate.open.set()
        for each, job_id in jobs:
            assert (await settled(each, job_id)).state is JobState.DONE


async def test_a_worker_without_room_reclaims_no_job(redis: RedisServer, service: str, shard: Shard) -> None:
    """It would have to refuse it."""
    job_id = await queued(shard)
    await taken(shard, "dead")
    async with worker(redis, service, Gate().answer, threads=1, visibility_s=VISIBILITY_S) as server:
        server.queue.begin_at_once("a client's request")
        await asyncio.sleep(3 * VISIBILITY_S)
        assert (await shard.stats()).counts[Counted.ABANDONED] == 0
        server.queue.end("a client's request")
        assert (await settled(shard, job_id)).state is JobState.DONE
