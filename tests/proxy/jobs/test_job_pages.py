"""Jobs over HTTP, at a proxy with a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from tests.support.fake_worker import fake_worker, settings
from tests.support.jobs import LIMITS, answering, echo
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tfleet.jobs.job import JobAnswer, JobLimits, JobState, JobTimes
from tfleet.jobs.shard import Shard, Totals
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.settings import JobSettings

FLOWERS = "/jobs?model=flowers&version=1"
TIMES = JobTimes(60_000, 60_000)


@contextlib.asynccontextmanager
async def proxy_with_jobs(
    redis: RedisServer,
    service: str,
    *,
    limits: JobLimits = LIMITS,
    times: JobTimes = TIMES,
    most_waiting: int = 1000,
    **options: Any,
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a proxy that keeps jobs; the proxy knows a worker, and not its model."""
    async with fake_worker() as worker:
        plain = settings(worker, **options)
        chosen = replace(
            plain,
            discovery=replace(plain.discovery, service=service),
            jobs=JobSettings((redis.url,), limits, times, most_waiting=most_waiting),
        )
        async with (
            single_process_proxy(chosen) as address,
            aiohttp.ClientSession(address.url) as session,
        ):
            yield session


@pytest.fixture
async def client(redis: RedisServer, service: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with proxy_with_jobs(redis, service) as session:
        yield session


async def submit(client: aiohttp.ClientSession, body: bytes = b"1", **headers: str) -> str:
    """The location of a job that was accepted."""
    async with client.post(FLOWERS, data=io.BytesIO(body), headers=headers) as answer:
        assert answer.status == 202, await answer.text()
        return answer.headers["Location"]


async def status(client: aiohttp.ClientSession, method: str, path: str) -> int:
    async with client.request(method, path) as answer:
        return answer.status


async def test_a_job_is_accepted_and_answered(client: aiohttp.ClientSession, shard: Shard) -> None:
    async with client.post(FLOWERS, data=b"pixels") as accepted:
        assert accepted.status == 202
        document = await accepted.json()
        location = accepted.headers["Location"]
        assert location == f"/jobs/{document['id']}"
        assert (document["state"], document["model"], document["version"]) == ("queued", "flowers", "1")
    async with answering(shard, echo), client.get(f"{location}?wait=30") as answer:
        assert answer.status == 200
        assert await answer.read() == b"pixels"
        assert answer.headers["X-Job-State"] == "done"
        assert answer.headers["X-Model"] == "flowers/1"
        assert answer.headers["Content-Type"] == "text/plain"
    async with client.get(location) as again:
        assert await again.read() == b"pixels"


async def test_the_worker_gets_what_was_sent(client: aiohttp.ClientSession, shard: Shard) -> None:
    async with answering(shard, echo) as had:
        sent = {"Content-Type": "text/csv", "Accept": "text/csv", "X-Request-Id": "my-id", "Cookie": "secret"}
        async with client.post(f"{FLOWERS}&top=3", data=b"a,b\n1,2\n", headers=sent) as answer:
            location = answer.headers["Location"]
        assert await status(client, "GET", f"{location}?wait=30") == 200
    [job] = had
    assert job.request.target == "/predict?top=3"
    assert job.request.body == b"a,b\n1,2\n"
    assert job.request.headers == {"Content-Type": "text/csv", "Accept": "text/csv", "X-Request-Id": "my-id"}


@pytest.mark.parametrize("query", ["x=%2541%2B%26&y=a+b", "top=3&%71=%ff", "x&&y=%3D", "mode%6c=1&x=1"])
@pytest.mark.parametrize("queued", [True, False])
async def test_the_worker_gets_the_query_as_it_was_sent(
    client: aiohttp.ClientSession, shard: Shard, query: str, queued: bool
) -> None:
    if queued:
        path = f"/models/flowers/versions/1/predict?queue=1&{query}"
    else:
        path, query = f"{FLOWERS}&{query}", query.replace("mode%6c=1&", "")
    async with answering(shard, echo) as had:
        async with client.post(URL(path, encoded=True), data=b"1") as answer:
            status_code, location = answer.status, answer.headers.get("Location")
        if queued:
            assert status_code == 200
        elif "mode%6c" in path:
            assert status_code == 400, "a second model"
            return
        else:
            assert await status(client, "GET", f"{location}?wait=30") == 200
    assert had[0].request.target.partition("?")[2] == query.replace("&&", "&")


@pytest.mark.parametrize("name", ["Idempotency-Key", "X-Callback-Url", "X-Request-Timeout-Ms"])
async def test_a_header_that_is_there_twice_is_400(client: aiohttp.ClientSession, name: str) -> None:
    headers = CIMultiDict([(name, "1000"), (name, "2000")])
    async with client.post(FLOWERS, data=b"1", headers=headers) as answer:
        assert (answer.status, f"{name} is there twice" in await answer.text()) == (400, True)


@pytest.mark.parametrize("name", ["Idempotency-Key", "X-Callback-Url"])
async def test_a_queued_call_refuses_headers_of_jobs(client: aiohttp.ClientSession, name: str) -> None:
    path = "/models/flowers/versions/1?queue=1"
    async with client.post(path, data=b"1", headers={name: "k"}) as answer:
        assert (answer.status, f"{name} is for POST /jobs" in await answer.text()) == (400, True)


async def test_an_open_job_is_202(client: aiohttp.ClientSession) -> None:
    location = await submit(client)
    async with client.get(location) as answer:
        assert answer.status == 202
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["X-Job-State"] == "queued"


async def test_the_status_of_the_worker_is_that_of_the_job(
    client: aiohttp.ClientSession, shard: Shard
) -> None:
    location = await submit(client)
    refusal = JobAnswer(400, {"Content-Type": "application/problem+json"}, b'{"detail": "no image"}')
    async with answering(shard, lambda job: refusal), client.get(f"{location}?wait=30") as answer:
        assert (answer.status, await answer.read()) == (400, refusal.body)
        assert answer.headers["X-Job-State"] == "done"


async def test_one_key_is_one_job(client: aiohttp.ClientSession) -> None:
    first = await submit(client, b"1", **{"Idempotency-Key": "k"})
    assert await submit(client, b"1", **{"Idempotency-Key": "k"}) == first
    async with client.post(FLOWERS, data=b"2", headers={"Idempotency-Key": "k"}) as other:
        assert other.status == 422
        assert "Idempotency-Key" in (await other.json())["detail"]


@pytest.mark.parametrize("path", ["/jobs?model=m&version=1", "/jobs?model=flowers&version=1&x=1"])
async def test_a_key_with_another_query_is_422(client: aiohttp.ClientSession, path: str) -> None:
    key = {"Idempotency-Key": "k"}
    await submit(client, b"1", **key)
    async with client.post(path, data=b"1", headers=key) as other:
        assert other.status == 422


async def test_a_submission_is_202_even_if_it_is_answered(
    client: aiohttp.ClientSession, shard: Shard
) -> None:
    """A fast worker, or a key that was sent before."""
    key = {"Idempotency-Key": "k"}
    location = await submit(client, b"1", **{"Idempotency-Key": "k"})
    async with answering(shard, echo):
        assert await status(client, "GET", f"{location}?wait=30") == 200
    async with client.post(FLOWERS, data=b"1", headers=key) as again:
        assert (again.status, again.headers["Location"]) == (202, location)
        assert again.headers["X-Job-State"] == "done"
        assert "Retry-After" not in again.headers


async def test_a_cancelled_job_is_gone(client: aiohttp.ClientSession, shard: Shard) -> None:
    location = await submit(client)
    assert await status(client, "DELETE", location) == 204
    async with client.get(location) as answer:
        assert (answer.status, answer.headers["X-Job-State"]) == (410, "cancelled")
    assert await status(client, "DELETE", location) == 204
    assert await status(client, "DELETE", location) == 410
    async with client.get(location) as answer:
        assert answer.status == 410
        assert "no longer known" in (await answer.json())["detail"]
    assert await shard.totals() == Totals(0, 0)


@pytest.mark.parametrize("name", ["x", "abcd-" + "a" * 32])
async def test_an_unknown_job_is_404(client: aiohttp.ClientSession, name: str) -> None:
    await submit(client)
    assert await status(client, "GET", f"/jobs/{name}") == 404


async def test_a_full_queue_is_429(redis: RedisServer, service: str) -> None:
    async with proxy_with_jobs(redis, service, limits=JobLimits(1, 10_000_000)) as client:
        await submit(client)
        async with client.post(FLOWERS, data=b"2") as answer:
            assert answer.status == 429
            assert answer.headers["Retry-After"] == "2"
            assert "--max-jobs" in (await answer.json())["detail"]


async def test_an_expired_job_is_504(client: aiohttp.ClientSession) -> None:
    location = await submit(client, b"1", **{"X-Request-Timeout-Ms": "1"})
    async with client.get(f"{location}?wait=30") as answer:
        assert (answer.status, answer.headers["X-Job-State"]) == (504, "expired")


async def test_an_answer_that_was_kept_long_enough_is_410(
    redis: RedisServer, service: str, shard: Shard
) -> None:
    async with proxy_with_jobs(redis, service, times=JobTimes(60_000, 1)) as client:
        location = await submit(client)
        async with answering(shard, echo):

            async def forgotten() -> int:
                return await status(client, "GET", location)

            assert await eventually(forgotten, wanted=lambda found: found == 410) == 410


async def test_a_queued_call_waits_for_its_answer(client: aiohttp.ClientSession, shard: Shard) -> None:
    async with answering(shard, echo) as had:
        path = "/models/flowers/versions/1/predict?top=3&queue=1"
        async with client.post(path, data=b"pixels") as answer:
            assert (answer.status, await answer.read()) == (200, b"pixels")
    assert had[0].request.target == "/models/flowers/versions/1/predict?top=3"
    assert await shard.totals() == Totals(0, 0), "nobody can ask for it again"


async def test_a_queued_call_has_a_deadline(client: aiohttp.ClientSession, shard: Shard) -> None:
    headers = {"X-Request-Timeout-Ms": "50"}
    path = "/models/flowers/versions/1?queue=1"
    async with client.post(path, data=b"1", headers=headers) as answer:
        assert answer.status == 504
        assert answer.headers["X-Job-State"] == "expired"
    assert await shard.totals() == Totals(0, 0)


async def test_a_client_that_leaves_cancels_its_call(client: aiohttp.ClientSession, shard: Shard) -> None:
    calling = asyncio.create_task(status(client, "POST", "/models/flowers/versions/1?queue=1"))
    await eventually(shard.totals, wanted=lambda found: found.jobs == 1)
    calling.cancel()
    await asyncio.wait([calling])
    assert await eventually(shard.totals, wanted=lambda found: found == Totals(0, 0))


async def test_jobs_are_listed_for_operators(client: aiohttp.ClientSession) -> None:
    """Without what opens their answers."""
    location = await submit(client)
    async with client.get("/jobs") as answer:
        text = await answer.text()
    [job] = json.loads(text)["jobs"]
    assert (job["state"], job["model"], job["version"]) == ("queued", "flowers", "1")
    assert location.startswith(f"/jobs/{job['id_prefix']}")
    assert len(location) - len(f"/jobs/{job['id_prefix']}") == 16
    assert "id" not in job
    assert location.rpartition("/")[2] not in text
    assert await status(client, "GET", "/jobs?state=dead") == 200
    assert await status(client, "GET", "/jobs?state=x") == 400


async def test_a_job_needs_to_know_its_model(client: aiohttp.ClientSession) -> None:
    async with client.post("/jobs", data=b"1") as answer:
        assert answer.status == 400
        assert "model=NAME" in (await answer.json())["detail"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/jobs?version=1", {}),
        ("/jobs?model=a&model=b", {}),
        ("/jobs?model=a&version=1&label=b", {}),
        (FLOWERS, {"X-Request-Timeout-Ms": "0"}),
        (FLOWERS, {"X-Request-Timeout-Ms": "604800001"}),
        (FLOWERS, {"Idempotency-Key": ""}),
        (FLOWERS, {"Idempotency-Key": "k" * 256}),
    ],
)
async def test_what_is_wrong_with_a_submission_is_400(
    client: aiohttp.ClientSession, path: str, headers: dict[str, str]
) -> None:
    async with client.post(path, data=b"1", headers=headers) as answer:
        assert answer.status == 400, await answer.text()


@pytest.mark.parametrize("query", ["wait=61", "wait=x", "wait=-1", "until=3"])
async def test_what_is_wrong_with_a_wait_is_400(client: aiohttp.ClientSession, query: str) -> None:
    assert await status(client, "GET", f"{await submit(client)}?{query}") == 400


async def test_a_body_over_the_limit_is_413(redis: RedisServer, service: str) -> None:
    async with proxy_with_jobs(redis, service, max_body_bytes=1_500_000) as client:
        assert (await submit(client, b"x" * 1_400_000)).startswith("/jobs/")
        async with client.post(FLOWERS, data=io.BytesIO(b"x" * 1_600_000)) as answer:
            assert answer.status == 413


async def test_a_dead_job_says_why(client: aiohttp.ClientSession, shard: Shard) -> None:
    location = await submit(client)
    job_id = location.rpartition("/")[2]
    prefix = shard.connection.prefix
    await shard.connection.command("HSET", f"{prefix}job:{job_id}", "state", JobState.DEAD, "reason", "why")
    async with client.get(location) as answer:
        assert answer.status == 500
        assert "why" in (await answer.json())["detail"]


async def test_without_jobs_their_paths_are_404() -> None:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker)) as address,
        aiohttp.ClientSession(address.url) as session,
    ):
        assert await status(session, "POST", FLOWERS) == 404


@pytest.mark.process
async def test_a_redis_that_is_down_is_503(service: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    away = RedisServer(tmp_path_factory.mktemp("away"))
    async with proxy_with_jobs(away, service) as client:
        async with client.post(FLOWERS, data=b"1") as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "2"
        assert await status(client, "GET", "/jobs/abcd-" + "a" * 32) == 503
        assert await status(client, "GET", "/readyz") == 200, "requests without a queue go on"
