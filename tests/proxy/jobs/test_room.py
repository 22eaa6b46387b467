"""What many callers at once may take of a proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.proxy.jobs.test_job_pages import proxy_with_jobs, status, submit
from tests.support.jobs import answered
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tfleet.contract.problem import ProblemError
from tfleet.jobs.shard import Shard
from tfleet.proxy.jobs.room import BodyRoom


async def test_callers_beyond_the_limit_do_not_wait(redis: RedisServer, service: str, shard: Shard) -> None:
    async with proxy_with_jobs(redis, service, most_waiting=3) as client:
        location = await submit(client)
        asking = [asyncio.create_task(status(client, "GET", f"{location}?wait=30")) for _ in range(4)]
        done, waiting = await asyncio.wait(asking, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert [each.result() for each in done] == [202], "it asks again"
        assert await status(client, "POST", "/models/flowers/versions/1?queue=1") == 429
        assert await status(client, "GET", location) == 202
        await answered(shard)
        assert await asyncio.gather(*waiting) == [200, 200, 200]
        assert await status(client, "GET", f"{location}?wait=30") == 200


async def test_bodies_on_their_way_have_a_limit() -> None:
    room, release = BodyRoom(1000), asyncio.Event()

    async def page(request: web.Request) -> web.Response:
        try:
            async with room.received(request) as body:
                await release.wait()
                return web.Response(text=str(len(body)))
        except ProblemError as error:
            return web.Response(status=error.problem.status, headers=error.problem.headers())

    app = web.Application(client_max_size=600)
    app.router.add_post("/", page)
    async with TestClient(TestServer(app)) as client:

        async def send(size: int) -> tuple[int, str]:
            async with client.post("/", data=bytes(size)) as answer:
                return answer.status, await answer.text()

        first = asyncio.create_task(send(600))
        await eventually(free(room), wanted=lambda found: "400 bytes free" in found)
        assert (await send(500))[0] == 429
        second = asyncio.create_task(send(400))
        await eventually(free(room), wanted=lambda found: "0 bytes free" in found)
        release.set()
        assert [await first, await second] == [(200, "600"), (200, "400")]
        assert (await send(601))[0] == 413
        assert "1000 bytes free" in repr(room), "what was refused takes nothing either"


def free(room: BodyRoom) -> Callable[[], Awaitable[str]]:
    async def look() -> str:
        return repr(room)

    return look
