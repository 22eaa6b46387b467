"""A Redis that is full, closed, slow, read-only, or has what others wrote: clear errors, nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.jobs import STREAM, answered, new_job, queued, running_queue, submitted, taken
from tests.support.redis_server import RedisServer, redis_server, shard_of
from tests.support.waiting import eventually
from tfleet.jobs.connect import shards_of
from tfleet.jobs.errors import JobsUnavailableError, QueueFullError, RedisFullError, UnsuitableRedisError
from tfleet.jobs.job import JobAnswer, JobLimits, JobState
from tfleet.jobs.redis_check import check_redis, read_info
from tfleet.jobs.redis_connection import TIMEOUT_S
from tfleet.jobs.redis_url import read_redis_urls
from tfleet.jobs.shard import Shard
from tfleet.jobs.sharded_queue import ShardedQueue
from tfleet.worker.jobs.call import begin_call

ROOMY = JobLimits(max_jobs=100_000, max_bytes=10**9)
SMALL = ("--maxmemory", "8mb", "--maxmemory-policy", "noeviction", "--save", "")


async def known(queue: ShardedQueue, job_id: str) -> bool:
    """Whether the queue knows by now whose job it is."""
    try:
        return (await queue.read(job_id)).state is JobState.QUEUED
    except JobsUnavailableError:
        return False


@pytest.mark.process
async def test_a_redis_without_memory_can_be_emptied(tmp_path: Path) -> None:
    with redis_server(tmp_path, *SMALL) as server:
        async with running_queue([server], "tfleet", ROOMY) as queue, shard_of(server) as shard:
            ids: list[str] = []
            with contextlib.suppress(QueueFullError):
                while len(ids) < 1000:
                    ids.append(await queue.submit(new_job(bytes(100_000))))
            assert 10 < len(ids) < 1000
            with pytest.raises(QueueFullError, match="maxmemory"):
                await queue.submit(new_job(bytes(100_000)))
            before = await shard.totals()
            with pytest.raises(RedisFullError):
                await submitted(shard, new_job(bytes(100_000)), ROOMY)
            assert await shard.totals() == before, "a refused job leaves nothing"
            # A proxy and a worker that come now find their way, and the jobs are answered.
            async with running_queue([server], "tfleet", ROOMY) as later, shard_of(server) as worker:
                await eventually(lambda: known(later, ids[0]))
                done = [await answered(worker) for _ in ids]
                assert sorted(done) == sorted(ids)
                record = await later.read(ids[-1], with_answer=True)
                assert record.answer is not None
                assert len(record.answer.body) == 100_000
                for job_id in ids:
                    await later.cancel(job_id)
                assert await later.submit(new_job(bytes(100_000))), "there is room again"


@pytest.mark.process
async def test_a_password_is_needed_and_never_shown(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--requirepass", "s3cret") as server:
        for user, why in (("", "Authentication required"), (":wr0ng@", "invalid username-password pair")):
            [shard] = shards_of(read_redis_urls(f"redis://{user}127.0.0.1:{server.port}"), "tfleet")
            with pytest.raises(JobsUnavailableError, match=why) as error:
                await queued(shard)
            assert "wr0ng" not in f"{error.value} {shard!r} {shard.connection!r}"
            await shard.connection.close()
        [shard] = shards_of(read_redis_urls(f"redis://:s3cret@127.0.0.1:{server.port}"), "tfleet")
        await queued(shard)
        assert await answered(shard)
        await shard.connection.close()


@pytest.mark.process
async def test_tls_checks_who_the_redis_is(tmp_path: Path) -> None:
    key, certificate = str(tmp_path / "key"), str(tmp_path / "certificate")
    command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=redis", "-days", "2")
    names = ("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate)
    await asyncio.to_thread(subprocess.run, (*command, *names), check=True, capture_output=True)
    plain = RedisServer(tmp_path)
    tls = ("--tls-port", str(plain.port), "--tls-cert-file", certificate, "--tls-key-file", key)
    with redis_server(tmp_path, *tls, "--tls-auth-clients", "no"):
        url = f"rediss://127.0.0.1:{plain.port}"
        [known] = shards_of(read_redis_urls(f"{url}?ssl_ca_certs={certificate}"), "tfleet")
        await queued(known)
        assert await answered(known)
        for other in (url, f"{url}?ssl_ca_certs={tmp_path}/none", f"redis://127.0.0.1:{plain.port}"):
            [unknown] = shards_of(read_redis_urls(other), "tfleet")
            with pytest.raises(JobsUnavailableError):
                await queued(unknown)
            await unknown.connection.close()
        await known.connection.close()


@pytest.mark.process
async def test_a_redis_that_hangs_holds_up_no_other(tmp_path: Path, redis: RedisServer, service: str) -> None:
    with redis_server(tmp_path) as second:
        async with running_queue([redis, second], service) as queue:
            ids = [await queue.submit(new_job()) for _ in range(4)]
            with second.hanging():
                began_s = time.monotonic()
                # More than the connections that may be used at once.
                more = await asyncio.gather(*(queue.submit(new_job()) for _ in range(200)))
                assert time.monotonic() - began_s < 2 * TIMEOUT_S + 2
                assert len({job_id[:4] for job_id in more}) == 1
                began_s = time.monotonic()
                more += [await queue.submit(new_job()) for _ in range(20)]
                assert time.monotonic() - began_s < TIMEOUT_S, "it is known to hang"
                failed = await asyncio.gather(*map(queue.read, ids), return_exceptions=True)
                assert sum(isinstance(each, JobsUnavailableError) for each in failed) == 2
            names = {job_id[:4] for job_id in ids}

            async def used() -> set[str]:
                return {(await queue.submit(new_job()))[:4] for _ in range(2)}

            assert await eventually(used, wanted=lambda found: found == names) == names
            for job_id in (*ids, *more):
                assert (await queue.read(job_id)).state is JobState.QUEUED


@pytest.mark.process
async def test_a_replica_takes_no_jobs(tmp_path: Path, redis: RedisServer, service: str) -> None:
    with redis_server(tmp_path, "--replicaof", "127.0.0.1", str(redis.port)) as replica:
        async with shard_of(replica, service) as shard:
            info = read_info(await shard.connection.command("INFO"))
            with pytest.raises(UnsuitableRedisError, match="name its primary"):
                check_redis(info, "it")
            with pytest.raises(JobsUnavailableError, match="read only replica"):
                await queued(shard)
        async with running_queue([replica, redis], service) as queue:
            ids = [await queue.submit(new_job()) for _ in range(4)]
            assert len({job_id[:4] for job_id in ids}) == 1


async def test_what_others_wrote_holds_up_no_job(shard: Shard, redis: RedisServer, service: str) -> None:
    prefix, command = shard.connection.prefix, shard.connection.command
    stream = prefix + STREAM
    await command("XADD", stream, "*", b"\xff\xfe", b"\xff")  # before there is a group
    await shard.open_stream(STREAM)
    await command("XADD", stream, "*", "id", "x" * 10_000, "more", "fields")
    await command("SET", f"{prefix}job:text", "not a hash")
    await command("XADD", stream, "*", "id", "text")
    await command("HSET", f"{prefix}job:half", "state", "queued", "entry", "1-1")
    await command("XADD", stream, "*", "id", "half")
    await command("ZADD", f"{prefix}open", 1, "text", 2, "half", 3, b"\xff")
    await command("ZADD", f"{prefix}settled", 1, "text", 2, "none")
    await command("ZADD", f"{prefix}dead", 1, "text")
    await command("ZADD", f"{prefix}callbacks", 1, b"none")
    real = await queued(shard, b"real")
    entry = (await command("HGET", f"{prefix}job:{real}", "entry")).decode()
    await command("XADD", stream, "*", "id", real)  # a second entry for the same job
    got = await taken(shard, count=100)
    assert [(job.id, job.entry) for job in got] == [(real, entry)]
    # The same entries, left by a worker that died.
    for number in range(3):
        await command("XADD", stream, "*", "id", ("none", "text", real)[number])
    await shard.connection.wait_for_entries(STREAM, "dies", count=100, wait_ms=100)
    assert await shard.reclaim("w2", STREAM, 0) == (entry, real)
    assert await shard.finish(got[0], STREAM, JobAnswer(200, {}, b"answer"))
    assert await shard.reclaim("w2", STREAM, 0) is None
    while await shard.expire():
        continue
    assert await shard.take_callbacks(10, 1000) == []
    assert await command("XLEN", stream) == 0
    async with running_queue([redis], service) as queue:
        await eventually(lambda: command("PUBLISH", f"{prefix}settled", b"\xff\xff"), wanted=bool)
        job_id = await queue.submit(new_job())
        waiting = asyncio.create_task(queue.wait(job_id, 30))
        await asyncio.sleep(0.05)
        await command("PUBLISH", f"{prefix}settled", b"\xff\xff")
        await answered(shard)
        assert (await asyncio.wait_for(waiting, 4)).state is JobState.DONE


@pytest.mark.parametrize("headers", ["[]", "{", '{"a": 1}', "\xff", '{"Content-Type": "\u20ac"}'])
async def test_a_job_with_unreadable_headers_is_answered(shard: Shard, headers: str) -> None:
    job_id = await queued(shard)
    await shard.connection.command("HSET", f"{shard.connection.prefix}job:{job_id}", "headers", headers)
    [job] = await taken(shard)
    answer = await begin_call(job, lambda head, body, done: pytest.fail("it is called"))
    assert answer.status == 400
    assert b"can't be read" in answer.body


async def test_an_answer_of_others_is_no_answer(shard: Shard) -> None:
    job_id = await queued(shard)
    key = f"{shard.connection.prefix}job:{job_id}"
    await shard.connection.command("HSET", key, "status", "x", "answer_headers", "{")
    assert await shard.read(job_id) is None
    await shard.connection.command("HSET", key, "state", "nonsense")
    assert await shard.read(job_id, with_answer=False) is None
