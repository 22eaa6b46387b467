"""Which version of which model a job is for: by the rules of any request, and by the plan of now."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import aiohttp
import pytest

from tests.proxy.balancing.test_model_router import HEAD, router_of
from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import FakeWorker, fake_worker, settings
from tests.support.jobs import LIMITS
from tests.support.redis_server import RedisServer
from tests.support.registered_workers import ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.contract.problem import ProblemError
from tfleet.discovery.instance import Instance
from tfleet.discovery.plan import Canary, Plan, dump_plan, plan_key
from tfleet.discovery.plan_watch import Plans
from tfleet.discovery.registry import ConsulRegistry
from tfleet.jobs.job import JobTarget, JobTimes
from tfleet.proxy.balancing.member import Probe
from tfleet.proxy.balancing.model_router import ModelRouter
from tfleet.proxy.balancing.versions import ANY, Wanted
from tfleet.proxy.jobs.target import JobTargets
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


async def submit(
    proxy: Address, path: str, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str]]:
    """The status, and what the document says."""
    async with (
        aiohttp.ClientSession(proxy.url) as session,
        session.post(path, data=io.BytesIO(b"1"), headers=headers) as answer,
    ):
        return answer.status, await answer.json()


async def use_plan(registry: Address, plan: Plan) -> None:
    """For the model m of the usual service."""
    url = f"{registry.url}/v1/kv/{plan_key('tfleet', 'm')}"
    async with aiohttp.ClientSession() as session, session.put(url, data=dump_plan(plan)) as answer:
        assert await answer.json() is True


async def labelled(proxy: Address, version: str) -> None:
    """The label prod of the model m is this version."""

    async def label() -> str | None:
        return (await submit(proxy, "/jobs?model=m&label=prod"))[1].get("version")

    await eventually(label, wanted=lambda found: found == version)


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


@pytest.mark.parametrize("path", ["/jobs?model=m&label=prod", "/jobs"])
async def test_one_key_is_one_job_when_the_version_changes(redis: RedisServer, path: str) -> None:
    async with fleet(redis) as (registry, proxy, one, two):
        for worker, version in ((one, "3"), (two, "4")):
            await register(registry, worker.address, worker_id=version, model="m", version=version)
        await seen(proxy, 2)
        for stable in ("3", "4"):
            await use_plan(registry, Plan(stable, labels={"prod": stable}))
            await labelled(proxy, stable)
            status, job = await submit(proxy, path, {"Idempotency-Key": path})
            assert (status, job["version"]) == (202, "3"), "also once prod is 4"


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


def none_ready(router: ModelRouter) -> None:
    """All workers stop being ready."""
    router.table.record_probes({f"w{n}": (Probe.NOT_READY, "") for n in range(9)})


PROD = Wanted("m", None, "prod")


def status_of(targets: JobTargets, wanted: Wanted) -> int:
    with pytest.raises(ProblemError) as refused:
        targets.find(wanted, HEAD)
    return refused.value.problem.status


def test_a_label_waits_for_the_version_that_it_has() -> None:
    router = router_of("m/1")
    router.use_plans(Plans({"m": Plan("1", labels={"prod": "1"})}))
    targets = JobTargets(router)
    first = targets.find(PROD, HEAD)
    none_ready(router)
    assert targets.find(PROD, HEAD) == first == JobTarget("m", "1")


@pytest.mark.parametrize("ready", [True, False])
def test_a_label_that_moved_does_not_give_the_old_version(ready: bool) -> None:
    router = router_of("m/1")
    router.use_plans(Plans({"m": Plan("1", labels={"prod": "1"})}))
    targets = JobTargets(router)
    targets.find(PROD, HEAD)
    if not ready:
        none_ready(router)
    router.use_plans(Plans({"m": Plan("1", labels={"prod": "2"})}))
    assert status_of(targets, PROD) == 503


def test_a_promoted_version_is_waited_for_once_it_was_there() -> None:
    router = router_of("m/1", "m/2")
    router.use_plans(Plans({"m": Plan("1")}))
    targets = JobTargets(router)
    for wanted in (ANY, Wanted("m")):
        assert targets.find(wanted, HEAD).version == "1"
    router.use_plans(Plans({"m": Plan("2")}))
    none_ready(router)
    for wanted in (ANY, Wanted("m")):
        assert status_of(targets, wanted) == 503
    assert status_of(targets, Wanted("m", "2")) == 503, "never seen"


def test_while_none_is_ready_jobs_are_not_the_canarys() -> None:
    router = router_of("m/1", "m/2")
    router.use_plans(Plans({"m": Plan("1", Canary("2", 50.0))}))
    targets = JobTargets(router)
    assert {targets.find(ANY, HEAD).version for _ in range(20)} == {"1", "2"}
    none_ready(router)
    assert {targets.find(ANY, HEAD).version for _ in range(20)} == {"1"}


def test_another_default_model_does_not_get_the_last_one() -> None:
    router = router_of("a/1", "b/1")
    router.use_plans(Plans(default="a"))
    targets = JobTargets(router)
    assert targets.find(ANY, HEAD).model == "a"
    router.use_plans(Plans(default="b"))
    none_ready(router)
    assert status_of(targets, ANY) == 503


def test_a_version_that_was_replaced_gets_no_jobs() -> None:
    """Without a plan."""
    router = router_of("m/1")
    targets = JobTargets(router)
    assert targets.find(ANY, HEAD).version == "1"
    router.table.apply_instances([Instance("w0", Address("h", 1), "m", "2")])
    none_ready(router)
    assert status_of(targets, ANY) == 503
