"""Answers that are not taken: what they may hold of a proxy's memory, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.proxy.jobs.test_job_pages import FLOWERS, proxy_with_jobs, status, submit
from tests.support.jobs import STREAM, answering, taken
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tfleet.jobs.job import JobAnswer, JobLimits, TakenJob
from tfleet.jobs.shard import Shard
from tfleet.proxy.jobs.answer_room import AnswerRoom, writing_in_room

LARGE = bytes(range(256)) * 80_000
"""20 MB: more than what sockets hold."""


def proxy(
    redis: RedisServer, service: str, client_timeout_s: float = 10.0
) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientSession]:
    """A client of a proxy with room for one large answer."""
    return proxy_with_jobs(
        redis,
        service,
        limits=JobLimits(1000, 10 * len(LARGE)),
        max_body_bytes=len(LARGE) // 3,  # the room is four times this
        client_timeout_s=client_timeout_s,
    )


def large(job: TakenJob) -> JobAnswer:
    return JobAnswer(200, {"Content-Type": "application/octet-stream"}, LARGE)


async def with_large_answer(client: aiohttp.ClientSession, shard: Shard) -> str:
    """The location of a job that has one."""
    location = await submit(client)
    [job] = await taken(shard, count=1)
    assert await shard.finish(job, STREAM, large(job))
    return location


@contextlib.asynccontextmanager
async def unread(url: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """A response whose body nobody reads inside the block."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, read_bufsize=1024) as session:
        async with session.get(url) as answer:
            assert answer.status == 200
            yield answer


async def test_answers_have_room_together(redis: RedisServer, service: str, shard: Shard) -> None:
    async with proxy(redis, service) as client:
        location = await with_large_answer(client, shard)
        small = await submit(client)
        url = str(client._build_url(location))
        async with unread(url) as first:
            async with client.get(location) as refused:
                assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
                assert "X-Job-State" not in refused.headers
            assert await status(client, "GET", small) == 202
            assert await first.read() == LARGE
        async with client.get(f"{location}?wait=1") as again:
            assert (again.status, again.headers["X-Job-State"]) == (200, "done")
            assert again.headers["Content-Length"] == str(len(LARGE))
            assert await again.read() == LARGE


async def test_a_caller_that_leaves_gives_its_room_back(
    redis: RedisServer, service: str, shard: Shard
) -> None:
    async with proxy(redis, service) as client:
        location = await with_large_answer(client, shard)
        for _ in range(3):
            async with unread(str(client._build_url(location))):
                pass
            assert await eventually(lambda: status(client, "GET", location), wanted=lambda got: got == 200)


@pytest.mark.process
async def test_a_caller_that_reads_nothing_is_ended(redis: RedisServer, service: str, shard: Shard) -> None:
    async with proxy(redis, service, client_timeout_s=0.5) as client:
        location = await with_large_answer(client, shard)
        async with unread(str(client._build_url(location))):
            assert await eventually(lambda: status(client, "GET", location), wanted=lambda got: got == 200)


async def test_a_queued_call_gets_a_large_answer(redis: RedisServer, service: str, shard: Shard) -> None:
    async with proxy(redis, service) as client:
        async with answering(shard, large):
            async with client.post("/models/flowers/versions/1?queue=1", data=b"1") as answer:
                assert (answer.status, await answer.read()) == (200, LARGE)
        assert (await shard.totals()).bytes == 0


async def test_a_repeated_submission_reads_no_answer(redis: RedisServer, service: str, shard: Shard) -> None:
    async with proxy(redis, service) as client:
        key = {"Idempotency-Key": "k"}
        async with client.post(FLOWERS, data=b"1", headers=key) as answer:
            location = answer.headers["Location"]
        [job] = await taken(shard, count=1)
        await shard.finish(job, STREAM, large(job))
        async with unread(str(client._build_url(location))):
            async with client.post(FLOWERS, data=b"1", headers=key) as again:
                assert (again.status, again.headers["X-Job-State"]) == (202, "done")


async def test_an_answer_has_a_time_limit() -> None:
    """Also where its caller reads all the time, but too slowly."""
    room = AnswerRoom(1, client_timeout_s=0.05)

    async def page(request: web.Request) -> web.Response:
        room.take(request, len(LARGE))
        return web.Response(body=LARGE)

    app = web.Application(middlewares=[writing_in_room(room)])
    app.router.add_get("/", page)
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readline()

        async def look() -> str:
            return repr(room)

        assert await eventually(look, wanted=lambda found: "<AnswerRoom 1 bytes free>" in found)
        with pytest.raises(asyncio.IncompleteReadError):
            await reader.readexactly(len(LARGE))
        writer.close()
