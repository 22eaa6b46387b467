"""Connections that break, and reads that wait."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.support.free_ports import free_port
from tests.support.jobs import STREAM, queued, taken
from tests.support.redis_server import DURABLE, RedisServer, redis_server, shard_of
from tests.support.waiting import eventually
from tfleet.jobs.errors import JobsUnavailableError
from tfleet.jobs.redis_connection import TIMEOUT_S
from tfleet.jobs.shard import Shard

pytestmark = pytest.mark.process


async def test_a_redis_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    async with shard_of(RedisServer(tmp_path, port=free_port())) as shard:
        with pytest.raises(JobsUnavailableError, match=r"redis://127\.0\.0\.1"):
            await shard.identity()


async def test_a_redis_that_hangs_is_unavailable() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        redis = RedisServer(Path(), port=server.sockets[0].getsockname()[1])
        async with shard_of(redis) as shard:
            began_s = time.monotonic()
            with pytest.raises(JobsUnavailableError, match="fails: no answer in time"):
                await shard.identity()
            assert time.monotonic() - began_s < 3 * TIMEOUT_S


async def test_jobs_survive_a_redis_that_is_killed(tmp_path: Path) -> None:
    with redis_server(tmp_path, *DURABLE) as server:
        async with shard_of(server) as shard:
            ids = {await queued(shard) for _ in range(50)}
            before = await taken(shard, count=20)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            after = await taken(shard, count=100)
            assert {job.id for job in (*before, *after)} == ids
            assert await shard.renew("w1", STREAM, [job.entry for job in before]) == frozenset()


@pytest.mark.process
async def test_a_read_waits_longer_than_other_commands_may(shard: Shard) -> None:
    """redis/redis-py#3138: a wait that is longer than the socket's time-out failed."""
    await shard.open_stream(STREAM)
    wait_ms = int(TIMEOUT_S * 1000) + 1000

    async def read() -> list[tuple[str, str]]:
        return await shard.connection.wait_for_entries(STREAM, "w1", count=1, wait_ms=wait_ms)

    assert await read() == []
    reading = asyncio.create_task(read())
    await asyncio.sleep(TIMEOUT_S + 0.3)
    job_id = await queued(shard)
    [(_, read_id)] = await reading
    assert read_id == job_id


async def test_a_read_that_is_given_up_spoils_no_connection(shard: Shard) -> None:
    await shard.open_stream(STREAM)
    reading = asyncio.create_task(shard.connection.wait_for_entries(STREAM, "w1", count=1, wait_ms=10_000))
    await asyncio.sleep(0.1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    for _ in range(5):
        assert await shard.connection.command("PING") == b"PONG"


async def test_more_callers_than_connections_are_served(shard: Shard) -> None:
    found = await asyncio.gather(*(shard.totals() for _ in range(500)))
    assert len(found) == 500


async def test_a_subscription_says_when_it_begins_anew(tmp_path: Path) -> None:
    with redis_server(tmp_path, *DURABLE) as server:
        async with shard_of(server) as shard:
            got: list[str | None] = []

            async def listen() -> None:
                while True:
                    try:
                        async for message in shard.connection.published("settled"):
                            got.append(message)
                    except JobsUnavailableError:
                        await asyncio.sleep(0.05)

            listening = asyncio.create_task(listen())

            async def heard() -> list[str | None]:
                return list(got)

            await eventually(heard, wanted=lambda found: found == [None])
            job_id = await queued(shard)
            await shard.cancel(job_id)
            await eventually(heard, wanted=lambda found: found == [None, job_id])
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await eventually(heard, wanted=lambda found: found[2:] == [None])
            listening.cancel()
            await asyncio.wait([listening])
