"""No job is lost and none is answered twice, whatever is killed.

The soak test is `make soak`, with 100,000 jobs.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.support.job_consumer import consuming, hashed
from tests.support.job_faults import faults, report, run_with_faults
from tests.support.jobs import queued, taken
from tests.support.redis_server import DURABLE, RedisServer, need_redis, redis_server, shard_of
from tests.support.waiting import eventually
from tfleet.jobs.connect import require_redis_library
from tfleet.jobs.job import JobRecord
from tfleet.jobs.shard import Shard

pytestmark = pytest.mark.process

_BATCH = 32


async def test_jobs_survive_kills(tmp_path: Path) -> None:
    need_redis()
    require_redis_library()
    outcome = await run_with_faults(tmp_path, jobs=1000, between_kills_s=2.0, rounds=2)
    assert faults(outcome, jobs=1000, kills=2) == [], report(outcome)


async def test_a_job_that_kills_workers_condemns_no_other(tmp_path: Path) -> None:
    """The workers are processes: the poison kills each that takes it."""
    with redis_server(tmp_path, *DURABLE) as server:
        async with shard_of(server, "poison") as shard:
            # A worker has died with all of these: at the next death the others must not be with the poison.
            slow = [await queued(shard, b"slow") for _ in range(3)]
            poison = await queued(shard, b"poison")
            assert len(await taken(shard, "dead")) == 4
            good = [await queued(shard, b"good") for _ in range(20)]

            async def keep_workers() -> None:
                while True:
                    command = ("tests.support.job_consumer", server.url.text, "poison", "w", "0.5")
                    worker = await asyncio.create_subprocess_exec(sys.executable, "-m", *command)
                    try:
                        await worker.wait()
                    except asyncio.CancelledError:
                        worker.terminate()
                        await worker.wait()
                        raise

            keeping = asyncio.create_task(keep_workers())
            found = [await _settled(shard, job_id) for job_id in (poison, *slow, *good)]
            keeping.cancel()
            await asyncio.wait([keeping])
    assert [record.state.value for record in found] == ["dead"] + ["done"] * 23
    assert [record.delivery.count for record in found[:4]] == [2] * 4


async def test_a_list_loses_images_and_our_queue_does_not(
    redis: RedisServer, service: str, shard: Shard
) -> None:
    """The usual way with two consumers is LRANGE, predict, SET, LTRIM: both read the same heads, and trim."""
    images = 320
    lost = await _lost_by_a_list(shard, images)
    print(f"{lost} of {images} images are lost by the list")
    assert lost >= _BATCH
    ids = [await queued(shard, b"%d" % number) for number in range(images)]
    blocks = [consuming([redis.url], service, hashed, worker=name) for name in ("w1", "w2")]
    for block in blocks:
        await asyncio.to_thread(block.__enter__)
    try:
        assert {(await _settled(shard, job_id)).state.value for job_id in ids} == {"done"}
    finally:
        for block in blocks:
            await asyncio.to_thread(block.__exit__, None, None, None)


async def _lost_by_a_list(shard: Shard, images: int) -> int:
    command, prefix = shard.connection.command, shard.connection.prefix
    for number in range(images):
        await command("RPUSH", f"{prefix}list", f"image-{number}")

    async def consume() -> None:
        while batch := await command("LRANGE", f"{prefix}list", 0, _BATCH - 1):
            await asyncio.sleep(0.01)  # predicts
            for image in batch:
                await command("SET", f"{prefix}result:{image.decode()}", 1)
            await command("LTRIM", f"{prefix}list", len(batch), -1)

    await asyncio.gather(consume(), consume())
    answered = [await command("EXISTS", f"{prefix}result:image-{number}") for number in range(images)]
    return images - sum(map(int, answered))


async def _settled(shard: Shard, job_id: str) -> JobRecord:
    async def look() -> JobRecord | None:
        return await shard.read(job_id)

    record = await eventually(
        look, wanted=lambda found: found is not None and not found.state.is_open, timeout_s=60
    )
    assert record is not None
    return record
