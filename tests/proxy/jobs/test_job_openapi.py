"""The paths of jobs in the OpenAPI document, and for web pages of other origins."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from tests.proxy.jobs.test_job_pages import FLOWERS, proxy_with_jobs, submit
from tests.support.fake_worker import fake_worker, settings
from tests.support.jobs import LIMITS, answering, echo
from tests.support.openapi import OpenApiDocument
from tests.support.redis_server import RedisServer
from tests.support.schemathesis_run import driven
from tfleet.contract.cors import Cors
from tfleet.jobs.job import JobTimes
from tfleet.jobs.shard import Shard
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.settings import JobSettings

PAGE: Final = "https://page.example"
PATHS: Final = {("POST", "/jobs"), ("GET", "/jobs"), ("GET", "/jobs/{id}"), ("DELETE", "/jobs/{id}")}


async def document(client: aiohttp.ClientSession) -> OpenApiDocument:
    async with client.get("/openapi.json") as answer:
        assert answer.status == 200
        return OpenApiDocument(json.loads(await answer.read()))


async def checked(
    client: aiohttp.ClientSession, found: OpenApiDocument, method: str, path: str
) -> tuple[int, str]:
    """The status of an answer that is as the document says, and its Location."""
    async with client.request(method, path, data=b"1" if method == "POST" else None) as answer:
        content, kind = await answer.read(), answer.headers.get("Content-Type", "")
        plain = path.partition("?")[0]
        said = found.operation(method, plain)["responses"].get(str(answer.status), {"content": {}})
        # A worker's answer is of any type, and none is 204.
        if said.get("content", {}).keys() - {"*/*"} or answer.status >= 400:
            found.check_content(method, plain, answer.status, kind, content)
        return answer.status, answer.headers.get("Location", "")


async def test_answers_are_as_the_document_says(redis: RedisServer, service: str, shard: Shard) -> None:
    async with proxy_with_jobs(redis, service) as client:
        found = await document(client)
        assert found.operations >= PATHS
        await asyncio.to_thread(found.check)
        status, location = await checked(client, found, "POST", FLOWERS)
        assert status == 202
        assert (await checked(client, found, "GET", location))[0] == 202
        assert (await checked(client, found, "GET", "/jobs"))[0] == 200
        assert (await checked(client, found, "GET", "/jobs?state=dead"))[0] == 200
        async with answering(shard, echo):
            assert (await checked(client, found, "GET", f"{location}?wait=30"))[0] == 200
        assert (await checked(client, found, "GET", f"{location}?wait=x"))[0] == 400
        assert (await checked(client, found, "DELETE", location))[0] == 204
        assert (await checked(client, found, "DELETE", location))[0] == 410
        assert (await checked(client, found, "GET", "/jobs/none"))[0] == 404


async def test_without_jobs_the_document_has_none() -> None:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker)) as proxy,
        aiohttp.ClientSession(proxy.url) as client,
    ):
        assert not (await document(client)).operations & PATHS


async def test_web_pages_of_allowed_origins_use_jobs(redis: RedisServer, service: str) -> None:
    async with proxy_with_jobs(redis, service, cors=Cors.parse([PAGE])) as client:
        location = await submit(client)
        for path, method in ((location, "DELETE"), ("/jobs", "POST"), (location, "GET")):
            asked = {"Origin": PAGE, "Access-Control-Request-Method": method}
            async with client.options(path, headers=asked) as answer:
                assert answer.status == 204
                assert method in answer.headers["Access-Control-Allow-Methods"]
                allowed = answer.headers["Access-Control-Allow-Headers"].split(", ")
                assert {"Idempotency-Key", "X-Callback-Url"} <= set(allowed)
                assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        for method, path in (("POST", FLOWERS), ("GET", location), ("DELETE", location), ("GET", location)):
            async with client.request(method, path, headers={"Origin": PAGE}) as answer:
                assert answer.headers["Access-Control-Allow-Origin"] == PAGE
                exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
                assert {"Location", "X-Job", "X-Job-State", "Retry-After"} <= set(exposed)
        asked = {"Origin": "https://other.example", "Access-Control-Request-Method": "DELETE"}
        async with client.options(location, headers=asked) as answer:
            assert answer.status == 403


@pytest.mark.process
@pytest.mark.timeout(600)
async def test_no_request_breaks_the_pages_of_jobs(redis: RedisServer, service: str, tmp_path: Path) -> None:
    async with fake_worker() as worker:
        plain = settings(worker)
        chosen = replace(
            plain,
            discovery=replace(plain.discovery, service=service),
            jobs=JobSettings((redis.url,), LIMITS, JobTimes(60_000, 60_000)),
        )
        async with single_process_proxy(chosen) as proxy:
            assert await asyncio.to_thread(driven, proxy.url, tmp_path, examples=5, only="^/jobs") > 100
