"""A worker takes jobs from a real Redis, and answers them with its application."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from tests.support.job_consumer import VISIBILITY_S, consuming, echo, settled, worker
from tests.support.jobs import STREAM, new_job, queued, submitted, taken
from tests.support.redis_server import RedisServer, redis_server, shard_of
from tests.support.waiting import eventually
from tfleet.jobs.job import JobRequest, JobState, NewJob
from tfleet.jobs.shard import Shard

pytestmark = pytest.mark.process


async def test_a_worker_answers_jobs(redis: RedisServer, service: str, shard: Shard) -> None:
    async with worker(redis, service, echo):
        ids = [await queued(shard, str(number).encode()) for number in range(50)]
        for number, job_id in enumerate(ids):
            record = await settled(shard, job_id)
            assert record.answer is not None
            assert record.answer.body == str(number).encode()
            assert record.answer.headers == {"Content-Type": "text/plain", "X-Worker": "w1"}


async def test_the_application_gets_the_request(redis: RedisServer, service: str, shard: Shard) -> None:
    seen: list[dict[str, Any]] = []

    def look(body: bytes, environ: dict[str, Any]) -> tuple[int, bytes]:
        seen.append(environ)
        return 201, body

    headers = {"Content-Type": "text/csv", "X-Request-Id": "my-id"}
    job = NewJob(JobRequest("/predict?top=3", headers, b"a\n1\n"), new_job().target, new_job().times)
    async with worker(redis, service, look):
        record = await settled(shard, (await submitted(shard, job)).id)
    assert record.answer is not None
    assert record.answer.status == 201
    [environ] = seen
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/predict", "top=3")
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/csv", "4")
    assert environ["HTTP_X_REQUEST_ID"] == "my-id"
    assert 0 < int(environ["HTTP_X_REQUEST_TIMEOUT_MS"]) <= 60_000


async def test_a_job_can_not_drain_a_worker(redis: RedisServer, service: str, shard: Shard) -> None:
    async with worker(redis, service, echo):
        for target in ("/drain", "/drain?x=1"):
            job = NewJob(JobRequest(target, {}, b""), new_job().target, new_job().times)
            record = await settled(shard, (await submitted(shard, job)).id)
            assert record.answer is not None
            assert record.answer.status == 403


async def test_a_body_over_the_workers_limit_is_413(redis: RedisServer, service: str, shard: Shard) -> None:
    async with worker(redis, service, echo):  # its limit is 1,000,000 bytes
        answers = [
            (await settled(shard, await queued(shard, bytes(size)))).answer for size in (10**6, 10**6 + 1)
        ]
    assert [answer.status for answer in answers if answer is not None] == [200, 413]


async def test_no_more_jobs_than_threads_are_taken(redis: RedisServer, service: str, shard: Shard) -> None:
    release, running, most, lock = threading.Event(), 0, 0, threading.Lock()

    def block(body: bytes, environ: dict[str, Any]) -> tuple[int, bytes]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        release.wait(20)
        with lock:
            running -= 1
        return 200, body

    async with worker(redis, service, block, threads=3):
        ids = [await queued(shard) for _ in range(10)]

        async def states() -> list[JobState]:
            return sorted(record.state for record in await shard.list())

        await eventually(states, wanted=lambda found: found.count(JobState.RUNNING) == 3)
        await asyncio.sleep(0.1)
        assert (await states()).count(JobState.RUNNING) == 3
        release.set()
        for job_id in ids:
            assert (await settled(shard, job_id)).state is JobState.DONE
    assert most == 3


async def test_a_long_job_runs_once(redis: RedisServer, service: str, shard: Shard) -> None:
    """taskiq-python/taskiq-redis#101: longer than the visibility, and its worker lives."""
    runs: list[str] = []

    def slow(body: bytes, environ: dict[str, Any]) -> tuple[int, bytes]:
        runs.append(threading.current_thread().name)
        time.sleep(4 * VISIBILITY_S)
        return 200, body

    async with (
        worker(redis, service, slow, worker="w1", visibility_s=VISIBILITY_S),
        worker(redis, service, slow, worker="w2", visibility_s=VISIBILITY_S),
    ):
        record = await settled(shard, await queued(shard))
    assert (len(runs), record.delivery.count) == (1, 1)


async def test_jobs_of_a_dead_worker_run_alone(redis: RedisServer, service: str, shard: Shard) -> None:
    ids = [await queued(shard, b"abandoned") for _ in range(3)]
    assert len(await taken(shard, "dead")) == 3
    together: list[tuple[bytes, int]] = []
    running, lock = 0, threading.Lock()

    def look(body: bytes, environ: dict[str, Any]) -> tuple[int, bytes]:
        nonlocal running
        with lock:
            running += 1
            together.append((body, running))
        time.sleep(0.05)
        with lock:
            together.append((body, running))
            running -= 1
        return 200, body

    async with worker(redis, service, look, visibility_s=VISIBILITY_S):
        ids += [await queued(shard, b"other") for _ in range(20)]
        for job_id in ids:
            assert (await settled(shard, job_id)).state is JobState.DONE
    assert {count for body, count in together if body == b"abandoned"} == {1}
    assert max(count for body, count in together if body == b"other") > 1


async def test_a_draining_worker_finishes_what_it_has(redis: RedisServer, service: str, shard: Shard) -> None:
    began = threading.Event()

    def slow(body: bytes, environ: dict[str, Any]) -> tuple[int, bytes]:
        began.set()
        time.sleep(1.5)
        return 200, body

    async with worker(redis, service, slow):
        job_id = await queued(shard)
        await asyncio.to_thread(began.wait, 20)
    record = await shard.read(job_id)
    assert record is not None
    assert record.state is JobState.DONE
    consumers = await shard.connection.command(
        "XINFO", "CONSUMERS", shard.connection.prefix + STREAM, "workers"
    )
    assert consumers == [], "the worker has left the group"


async def test_a_worker_that_must_end_gives_jobs_back(redis: RedisServer, service: str, shard: Shard) -> None:
    began, release = threading.Event(), threading.Event()

    def slow(body: bytes, environ: dict[str, Any]) -> tuple[int, bytes]:
        began.set()
        release.wait(20)
        return 200, b"late"

    async with worker(redis, service, slow, drain_s=0.1):
        job_id = await queued(shard)
        await asyncio.to_thread(began.wait, 20)
    record = await shard.read(job_id)
    assert record is not None
    assert (record.state, record.delivery.count) == (JobState.QUEUED, 1)
    release.set()
    async with worker(redis, service, echo, visibility_s=VISIBILITY_S):
        record = await settled(shard, job_id)
    assert record.answer is not None
    assert record.answer.body == b"{}"
    assert record.delivery.count == 2, "the first worker may have hung because of it"


async def test_a_worker_survives_its_redis(tmp_path_factory: pytest.TempPathFactory, service: str) -> None:
    """Without a file on disk Redis forgets streams and groups, too."""
    with redis_server(tmp_path_factory.mktemp("short-lived")) as server:
        async with worker(server, service, echo), shard_of(server, service) as shard:
            await settled(shard, await queued(shard))
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            record = await settled(shard, await queued(shard))
            assert record.state is JobState.DONE


async def test_a_worker_takes_the_jobs_of_all_shards(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, service: str
) -> None:
    with redis_server(tmp_path_factory.mktemp("second")) as second:
        block = consuming([redis.url, second.url], service, echo)
        await asyncio.to_thread(block.__enter__)
        try:
            for server in (redis, second):
                async with shard_of(server, service) as shard:
                    assert (await settled(shard, await queued(shard))).state is JobState.DONE
        finally:
            await asyncio.to_thread(block.__exit__, None, None, None)
