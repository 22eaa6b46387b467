"""Callbacks go to allowed URLs only, signed, until they are received."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.support.fake_worker import fake_worker, settings
from tests.support.jobs import LIMITS, answering, echo
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tfleet.contract.problem import ProblemError
from tfleet.contract.ticket_keys import read_keys
from tfleet.jobs.job import JobTimes
from tfleet.jobs.shard import Shard
from tfleet.proxy.jobs.callbacks import AllowedUrl, BadCallbackPrefixError, checked_callback
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.settings import JobSettings

FLOWERS = "/jobs?model=flowers&version=1"
KEY = "ab" * 32


@dataclass
class Receiver:
    """What was received, and with which statuses it is answered; then with 204."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.got.append((request.path, dict(request.headers), await request.read()))
        status = self.statuses.pop(0) if self.statuses else 204
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 307 else {})

    async def count(self) -> int:
        return len(self.got)


@contextlib.asynccontextmanager
async def receiver(*statuses: int) -> AsyncIterator[Receiver]:
    found = Receiver(statuses=list(statuses))
    app = web.Application()
    app.router.add_post("/{path:.*}", found.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield found
    finally:
        await runner.cleanup()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "callback.key"
    file.write_text(KEY + "\n")
    file.chmod(0o600)
    return file


@contextlib.asynccontextmanager
async def proxy(
    redis: RedisServer, service: str, key_file: Path | None, *allowed: str
) -> AsyncIterator[aiohttp.ClientSession]:
    async with fake_worker() as worker:
        plain = settings(worker)
        jobs = JobSettings((redis.url,), LIMITS, JobTimes(60_000, 60_000), allowed, key_file)
        chosen = replace(plain, discovery=replace(plain.discovery, service=service), jobs=jobs)
        async with single_process_proxy(chosen) as address, aiohttp.ClientSession(address.url) as session:
            yield session


async def submit(client: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    """The status, and the job's id or what was wrong."""
    async with client.post(FLOWERS, data=io.BytesIO(b"1"), headers={"X-Callback-Url": url}) as answer:
        document = await answer.json()
        return answer.status, document.get("id") or document["detail"]


async def test_a_settled_job_is_told(redis: RedisServer, service: str, shard: Shard, key_file: Path) -> None:
    async with receiver() as hooks, proxy(redis, service, key_file, f"{hooks.url}/jobs") as client:
        status, job_id = await submit(client, f"{hooks.url}/jobs/42")
        assert status == 202
        async with answering(shard, echo):
            await eventually(hooks.count)
    [(path, headers, body)] = hooks.got
    told = json.loads(body)
    assert path == "/jobs/42"
    assert (told["id"], told["state"], told["status"]) == (job_id, "done", 200)
    assert told["location"] == f"/jobs/{job_id}"
    moment, signature = (part.partition("=")[2] for part in headers["X-Tfleet-Signature"].split(","))
    secret = (await asyncio.to_thread(read_keys, key_file)).secrets[0]
    assert hmac.new(secret, f"{moment}.".encode() + body, hashlib.sha256).hexdigest() == signature


@pytest.mark.process
async def test_a_callback_is_sent_until_it_is_received(
    redis: RedisServer, service: str, shard: Shard, key_file: Path
) -> None:
    """The pause before the next try is shortened here: the next try is due in eleven seconds else."""
    async with receiver(500, 307) as hooks, proxy(redis, service, key_file, hooks.url) as client:
        _, job_id = await submit(client, f"{hooks.url}/x")
        key = f"{shard.connection.prefix}callbacks"
        async with answering(shard, echo):
            for number in (1, 2, 3):
                await eventually(hooks.count, wanted=number.__eq__)
                await shard.connection.command("ZADD", key, "XX", 0, job_id)

            async def waiting() -> int:
                return int(await shard.connection.command("ZCARD", key))

            await eventually(waiting, wanted=lambda found: found == 0)
        assert [path for path, _, _ in hooks.got] == ["/x"] * 3, "a redirect is not followed"


@pytest.mark.process
async def test_a_receiver_that_hangs_holds_up_no_other(
    redis: RedisServer, service: str, shard: Shard, key_file: Path
) -> None:
    async with (
        receiver() as hooks,
        hanging_receiver() as (hangs, connections),
        proxy(redis, service, key_file, hooks.url, hangs) as client,
        answering(shard, echo) as had,
    ):
        for _ in range(100):
            await submit(client, f"{hangs}/x")
        for _ in range(20):
            await submit(client, f"{hooks.url}/y")

        async def all_answered() -> bool:
            return len(had) == 120

        await eventually(all_answered)
        await eventually(hooks.count, wanted=(20).__eq__, timeout_s=8)  # less than a hang lasts
        assert len(connections) <= 16


@contextlib.asynccontextmanager
async def hanging_receiver() -> AsyncIterator[tuple[str, list[object]]]:
    """It takes connections and never answers. Gives its URL, and the connections."""
    connections: list[object] = []
    ended = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(reader)
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
    finally:
        ended.set()
        server.close()
        await server.wait_closed()


@pytest.mark.process
async def test_only_allowed_urls_are_asked_later_too(
    redis: RedisServer, service: str, shard: Shard, key_file: Path
) -> None:
    """The URL is in Redis, and the option may have changed since it came."""
    async with receiver() as hooks, receiver() as other:
        async with proxy(redis, service, key_file, hooks.url) as client:
            _, job_id = await submit(client, f"{hooks.url}/x")
            name = f"{shard.connection.prefix}job:{job_id}"
            await shard.connection.command("HSET", name, "callback", f"{other.url}/x")
            await submit(client, f"{hooks.url}/later")
            async with answering(shard, echo):
                await eventually(hooks.count)
    assert [path for path, _, _ in hooks.got] == ["/later"]
    assert other.got == []


async def test_without_the_option_a_callback_is_refused(redis: RedisServer, service: str) -> None:
    async with proxy(redis, service, None) as client:
        status, detail = await submit(client, "http://127.0.0.1/x")
        assert (status, "--job-callback-allow" in detail) == (400, True)


ALLOWED = (AllowedUrl.parse("https://hooks.example.com/jobs"), AllowedUrl.parse("http://10.0.0.5:81"))


@pytest.mark.parametrize(
    "url",
    ["https://hooks.example.com/jobs", "https://hooks.example.com:443/jobs/1?a=b", "http://10.0.0.5:81/any"],
)
def test_allowed_urls(url: str) -> None:
    assert checked_callback(url, ALLOWED) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/jobs",
        "https://hooks.example.com/jobsearch",
        "https://hooks.example.com/",
        "https://hooks.example.com:8443/jobs",
        "https://hooks.example.com.evil.example/jobs",
        "https://hooks.example.com@evil.example/jobs",
        "https://evil.example\\@hooks.example.com/jobs",
        "https://hooks.example.com/jobs/../admin",
        "https://hooks.example.com/jobs/%2e%2e/admin",
        "http://10.0.0.5/any",
        "http://127.0.0.1:81/any",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:10.0.0.5]:81/any",
        "http://:pw@10.0.0.5:81/any",
        "http://10.0.0.5:81@evil.example/any",
        "//10.0.0.5:81/any",
        "ftp://10.0.0.5:81/",
        "http://10.0.0.5:x/",
        "",
        "https://hooks.example.com/jobs\n",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ProblemError, match="X-Callback-Url"):
        checked_callback(url, ALLOWED)


@pytest.mark.parametrize("text", ["hooks.example.com", "ftp://host/", "https://host/?a=b", "https://u@host/"])
def test_an_option_that_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(BadCallbackPrefixError):
        AllowedUrl.parse(text)
