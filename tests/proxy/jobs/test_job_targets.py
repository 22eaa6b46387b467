"""Which version of which model a job is for: by the rules of any request."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp

from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import FakeWorker, fake_worker, settings
from tests.support.jobs import LIMITS
from tests.support.redis_server import RedisServer
from tests.support.registered_workers import ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.registry import ConsulRegistry
from tfleet.jobs.job import JobTimes
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.settings import JobSettings

TIMES = JobTimes(60_000, 60_000)


@contextlib.asynccontextmanager
async def fleet(redis: RedisServer) -> AsyncIterator[tuple[Address, Address, FakeWorker, FakeWorker]]:
    """A registry, a proxy with jobs, and two workers that nobody has registered yet."""
    with embedded_registry() as registry:
        chosen = replace(
            settings(registry=ConsulRegistry(registry)), jobs=JobSettings((redis.url,), LIMITS, TIMES)
        )
        async with (
            fake_worker() as one,
            fake_worker() as two,
            single_process_proxy(chosen) as proxy,
        ):
            yield registry, proxy, one, two


async def submit(proxy: Address, path: str) -> tuple[int, dict[str, str]]:
    """The status, and what the document says."""
    async with (
        aiohttp.ClientSession(proxy.url) as session,
        session.post(path, data=io.BytesIO(b"1")) as answer,
    ):
        return answer.status, await answer.json()


async def seen(proxy: Address, count: int) -> None:
    await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, count))


async def test_a_job_gets_the_only_model(redis: RedisServer) -> None:
    async with fleet(redis) as (registry, proxy, one, _):
        await register(registry, one.address, model="flowers", version="3")
        await seen(proxy, 1)
        status, job = await submit(proxy, "/jobs")
        assert (status, job["model"], job["version"]) == (202, "flowers", "3")


async def test_a_job_names_its_model_and_version(redis: RedisServer) -> None:
    async with fleet(redis) as (registry, proxy, one, two):
        await register(registry, one.address, model="flowers", version="3")
        await register(registry, two.address, worker_id="w2", model="flowers", version="4")
        await seen(proxy, 2)
        for version in ("3", "4"):
            status, job = await submit(proxy, f"/jobs?model=flowers&version={version}")
            assert (status, job["version"]) == (202, version)
        assert (await submit(proxy, "/jobs?model=flowers&version=5"))[0] == 404
        assert (await submit(proxy, "/jobs?model=birds"))[0] == 404


async def test_a_stateful_model_takes_no_jobs(redis: RedisServer) -> None:
    async with fleet(redis) as (registry, proxy, one, _):
        await register(registry, one.address, model="counter", stateful="true")
        await seen(proxy, 1)
        for path in ("/jobs", "/predict?queue=1"):
            status, problem = await submit(proxy, path)
            assert (status, "changes with each request" in problem["detail"]) == (409, True)


async def test_jobs_are_accepted_while_no_worker_is_ready(redis: RedisServer) -> None:
    async with fleet(redis) as (registry, proxy, _, _):
        async with fake_worker() as dies:
            await register(registry, dies.address, model="flowers", version="3")
            await seen(proxy, 1)
            assert (await submit(proxy, "/jobs"))[0] == 202
        # A request finds out that it is dead.
        await eventually(lambda: submit(proxy, "/predict"), wanted=lambda found: found[0] == 503)
        status, job = await submit(proxy, "/jobs")
        assert (status, job["version"]) == (202, "3")
        assert (await submit(proxy, "/jobs?model=flowers&version=3"))[0] == 503, "the first of its kind"


async def test_before_any_worker_came_a_job_is_503(redis: RedisServer) -> None:
    async with fleet(redis) as (_, proxy, _, _):
        assert (await submit(proxy, "/jobs"))[0] == 503
