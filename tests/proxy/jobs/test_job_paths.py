"""Which requests become jobs: predictions, and nothing else that a worker would do."""

from __future__ import annotations

import pytest
from yarl import URL

from tests.proxy.jobs.test_job_pages import proxy_with_jobs, status
from tests.support.redis_server import RedisServer
from tfleet.jobs.shard import Shard, Totals

PREDICTIONS = [
    "/models/flowers/versions/1",
    "/models/flowers/versions/1/predict",
    "/v1/models/flowers/versions/1:predict",
    "/v2/models/flowers/versions/1/infer",
]
OTHERS = [
    "/drain",
    "/%64rain",
    "/status",
    "/rollout",
    "/v2/repository/index",
    "/v2/repository/models/flowers/unload",
    "/v1",
    "/x",
]


@pytest.mark.parametrize("path", PREDICTIONS)
async def test_predictions_may_wait(redis: RedisServer, service: str, shard: Shard, path: str) -> None:
    async with proxy_with_jobs(redis, service) as client:
        # Nobody takes it, so its deadline passes.
        headers = {"X-Request-Timeout-Ms": "20"}
        async with client.post(f"{path}?queue=1", data=b"1", headers=headers) as answer:
            assert (answer.status, answer.headers["X-Job-State"]) == (504, "expired")


@pytest.mark.parametrize("path", OTHERS)
async def test_other_requests_are_no_jobs(redis: RedisServer, service: str, shard: Shard, path: str) -> None:
    async with proxy_with_jobs(redis, service) as client:
        async with client.post(f"{path}?queue=1", data=b"1") as answer:
            assert "X-Job-State" not in answer.headers
        assert await shard.totals() == Totals(0, 0)


@pytest.mark.parametrize("path", ["/jobs/x", "/jobs/x?queue=1", "/jobs/x/y?queue=1", "/jobs/?queue=1"])
async def test_below_jobs_nothing_can_be_posted(
    redis: RedisServer, service: str, shard: Shard, path: str
) -> None:
    async with proxy_with_jobs(redis, service) as client:
        assert await status(client, "POST", path) in {404, 405}
        assert await shard.totals() == Totals(0, 0)


HOSTILE_IDS = [
    "%00",
    "..%2f..%2fdrain",
    "abcd-%E2%80%A8" + "a" * 29,
    "abcd-" + "a" * 32 + "%0d%0aX-Evil:1",
    "{tfleet:tfleet}:totals",
    "ABCD-" + "A" * 32,
    "abcd-" + "1" * 32,
    "a" * 4000,
    "*",
]


@pytest.mark.parametrize("job_id", HOSTILE_IDS, ids=range(len(HOSTILE_IDS)))
async def test_hostile_ids_are_unknown(redis: RedisServer, service: str, job_id: str) -> None:
    async with proxy_with_jobs(redis, service) as client:
        for method in ("GET", "DELETE"):
            async with client.request(method, URL(f"/jobs/{job_id}", encoded=True)) as answer:
                assert (answer.status, answer.content_type) == (404, "application/problem+json")
