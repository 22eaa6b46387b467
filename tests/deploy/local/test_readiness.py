from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from tests.support.canned_server import nobody
from tfleet.contract.address import Address
from tfleet.deploy.local.readiness import ReadyWorker, ready_workers

Handler = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def _proxy(workers: Handler, readyz: int = 200) -> AsyncIterator[Address]:
    async def ready(request: web.Request) -> web.Response:
        return web.Response(status=readyz)

    app = web.Application()
    app.router.add_get("/workers", workers)
    app.router.add_get("/readyz", ready)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Address("127.0.0.1", runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _answer(text: str, status: int = 200) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type="application/json", status=status)

    return handler


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        ('{"workers": [{"state": "ready"}, {"state": "starting"}, {"state": "ready"}]}', 200, 2),
        ('{"workers": []}', 200, 0),
        ('{"workers": [{"state": "ready"}]}', 500, 0),
        ('{"workers": "many"}', 200, 0),
        ('["ready"]', 200, 0),
        ("not json", 200, 0),
    ],
)
async def test_only_ready_workers_of_a_good_answer_count(text: str, status: int, expected: int) -> None:
    async with _proxy(_answer(text, status)) as proxy, aiohttp.ClientSession() as session:
        assert len(await ready_workers(session, proxy)) == expected


async def test_a_ready_worker_says_where_it_is_and_what_it_serves() -> None:
    ready = '{"state": "ready", "address": "[::1]:81", "model": "iris", "version": "2", "kind": "table"}'
    rows = f'[{{"state": "starting", "kind": "image"}}, {ready}, {{"state": "ready", "address": 7}}]'
    async with _proxy(_answer(f'{{"workers": {rows}}}')) as proxy, aiohttp.ClientSession() as session:
        found = await ready_workers(session, proxy)
    assert found == (ReadyWorker(81, "iris", "2", "table"), ReadyWorker(0))


async def test_the_table_is_not_asked_for_before_the_proxy_is_ready() -> None:
    async def unexpected(request: web.Request) -> web.Response:
        pytest.fail("asked")

    async with _proxy(unexpected, readyz=503) as proxy, aiohttp.ClientSession() as session:
        assert await ready_workers(session, proxy) == ()


async def test_a_proxy_that_is_not_there_has_no_workers() -> None:
    proxy = nobody()
    async with aiohttp.ClientSession() as session:
        assert await ready_workers(session, proxy) == ()
