"""Metrics of jobs at a proxy with a real Redis."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.proxy.jobs.test_job_pages import proxy_with_jobs, submit
from tests.support.jobs import LIMITS, answering, echo, queued
from tests.support.redis_server import DURABLE, RedisServer, redis_server
from tests.support.waiting import eventually
from tfleet.jobs.counts import Counted, ShardReport
from tfleet.jobs.job import JobLimits
from tfleet.jobs.shard import Shard
from tfleet.proxy.jobs.collector import JobCollector
from tfleet.proxy.multiprocess.aggregate import sum_up

Samples = dict[tuple[str, ...], float]


async def exposed(client: aiohttp.ClientSession) -> Samples:
    """The samples of jobs by their names and labels, but for the label of the Redis."""
    async with client.get("/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    return {
        (sample.name, *(value for name, value in sample.labels.items() if name != "redis")): sample.value
        for family in families
        if family.name.startswith("tfleet_proxy_job")
        for sample in family.samples
    }


async def test_jobs_are_counted(redis: RedisServer, service: str, shard: Shard) -> None:
    limits = JobLimits(2, LIMITS.max_bytes)
    async with proxy_with_jobs(redis, service, limits=limits) as client:
        first = await submit(client)
        await submit(client)
        async with client.post("/jobs?model=flowers&version=1", data=b"{}") as refused:
            assert refused.status == 429
        await client.delete(first)

        async def waits() -> Samples:
            return await exposed(client)

        # The last thing that happened: a look before it has other figures.
        cancelled = ("tfleet_proxy_jobs_settled_total", "cancelled")
        found = await eventually(waits, wanted=lambda now: now.get(cancelled) == 1)
        assert found["tfleet_proxy_jobs", "waiting"] == 1
        assert found["tfleet_proxy_job_redis_up",] == 1
        assert found["tfleet_proxy_jobs_submitted_total", "accepted"] == 2
        assert found["tfleet_proxy_jobs_submitted_total", "full"] == 1
        assert found["tfleet_proxy_job_oldest_waiting_seconds",] > 0
        async with client.get("/workers") as answer:
            [row] = (await answer.json())["jobs"]
        assert row.pop("oldest_waiting_s") >= 0
        assert row == {"redis": str(redis.url), "up": True, "waiting": 1, "running": 0, "dead": 0}
        async with answering(shard, echo):
            found = await eventually(waits, wanted=lambda now: now["tfleet_proxy_job_seconds_count",] == 1)
        assert found["tfleet_proxy_jobs", "waiting"] == 0
        assert found["tfleet_proxy_jobs_settled_total", "done"] == 1


@pytest.mark.process
async def test_a_redis_that_is_down_shows(tmp_path: Path) -> None:
    with redis_server(tmp_path, *DURABLE) as server:
        async with proxy_with_jobs(server, "down") as client:

            async def now() -> Samples:
                return await exposed(client)

            def up(found: Samples) -> bool:
                return found.get(("tfleet_proxy_job_redis_up",)) == 1

            accepted = ("tfleet_proxy_jobs_submitted_total", "accepted")
            await submit(client)
            await eventually(now, wanted=lambda found: found.get(accepted) == 1)
            server.kill()
            found = await eventually(now, wanted=lambda found: not up(found))
            assert ("tfleet_proxy_jobs", "waiting") not in found, "nobody knows"
            assert found[accepted] == 1
            async with client.get("/workers") as answer:
                assert (await answer.json())["jobs"] == [{"redis": str(server.url), "up": False}]
            server.start()
            found = await eventually(now, wanted=up, timeout_s=20)
            assert found[accepted] == 1


async def test_listeners_do_not_add_up_what_redis_counts(shard: Shard, redis: RedisServer) -> None:
    await queued(shard)
    stats = await shard.stats()
    report = ShardReport(str(redis.url), up=True, stats=stats)
    down = ShardReport(str(redis.url), up=False, stats=stats)
    listeners = (JobCollector(lambda: [report]), JobCollector(lambda: [down]))
    families = sum_up([tuple(each.collect()) for each in listeners])
    values = {sample.name: sample.value for family in families for sample in family.samples}
    assert stats.counts[Counted.ACCEPTED] == 1
    assert values["tfleet_proxy_job_redis_up"] == 0, "one of the listeners can't reach it"
    accepted = {
        sample.labels["result"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "tfleet_proxy_jobs_submitted_total"
    }
    assert accepted == {"accepted": 1, "full": 0}
