"""What a client is told while a Redis is full, closed or hangs: problem documents that say what to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.proxy.jobs.test_job_pages import FLOWERS, proxy_with_jobs, submit
from tests.support.jobs import answered
from tests.support.redis_server import RedisServer, redis_server, shard_of
from tests.support.waiting import eventually
from tfleet.jobs.job import JobLimits
from tfleet.jobs.redis_url import RedisUrl, read_redis_urls

pytestmark = pytest.mark.process


async def refused(
    client: aiohttp.ClientSession, method: str, path: str, body: bytes | None = None
) -> tuple[int, str]:
    """The status and the detail of a problem document."""
    async with client.request(method, path, data=body) as answer:
        assert answer.content_type == "application/problem+json", await answer.text()
        assert answer.headers["Retry-After"]
        return answer.status, (await answer.json())["detail"]


async def test_a_full_redis_is_429_and_loses_nothing(tmp_path: Path, service: str) -> None:
    full = ("--maxmemory", "6mb", "--maxmemory-policy", "noeviction")
    with redis_server(tmp_path, *full) as server:
        roomy = JobLimits(10_000, 10**9)
        async with (
            proxy_with_jobs(server, service, limits=roomy) as client,
            shard_of(server, service) as shard,
        ):
            body = bytes(200_000)
            accepted: list[str] = []
            while len(accepted) < 100:
                async with client.post(FLOWERS, data=body) as answer:
                    if answer.status != 202:
                        break
                    accepted.append(answer.headers["Location"])
            status, detail = await refused(client, "POST", FLOWERS, body)
            assert (status, "maxmemory" in detail) == (429, True)
            for _ in accepted:
                await answered(shard)
            for location in accepted:
                async with client.get(location) as answer:
                    assert (answer.status, len(await answer.read())) == (200, len(body))
                async with client.delete(location) as answer:
                    assert answer.status == 204
            assert await submit(client, body), "there is room again"


@dataclass
class WithPassword(RedisServer):
    """Its address has a password, which may be wrong."""

    password: str = ""

    @property
    def url(self) -> RedisUrl:
        return read_redis_urls(f"redis://:{self.password}@127.0.0.1:{self.port}")[0]


async def test_a_wrong_password_is_503_and_not_shown(
    tmp_path: Path, service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with redis_server(tmp_path, "--requirepass", "right") as server:
        wrong = WithPassword(tmp_path, port=server.port, password="s3cret")
        async with proxy_with_jobs(wrong, service) as client:
            status, detail = await refused(client, "POST", FLOWERS, b"1")
            assert (status, "password" in detail, "s3cret" in detail) == (503, True, False)
        right = WithPassword(tmp_path, port=server.port, password="right")
        async with proxy_with_jobs(right, service) as client:
            assert await submit(client)
    logged = capsys.readouterr().out
    assert "jobs unavailable" in logged
    assert "s3cret" not in logged


async def test_a_redis_that_hangs_is_503_and_loses_nothing(tmp_path: Path, service: str) -> None:
    with redis_server(tmp_path) as server:
        async with proxy_with_jobs(server, service) as client:
            location = await submit(client)
            with server.hanging():
                for method, path, body in (("POST", FLOWERS, b"1"), ("GET", f"{location}?wait=1", None)):
                    status, detail = await refused(client, method, path, body)
                    assert (status, "can't be reached" in detail) == (503, True)

            async def found() -> int:
                async with client.get(location) as answer:
                    return answer.status

            assert await eventually(found, wanted=(202).__eq__) == 202
