"""Clients that take more than their turn: they wait for themselves, and nobody else does."""

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web

from tests.support.fake_worker import CLIENT_LIMITS, fake_worker, settings
from tests.support.proxy_invariants import assert_at_rest
from tests.support.raw_client import raw_client
from tests.support.scripted_worker import scripted_worker
from tests.support.strict_client import post, strict_client
from tests.support.waiting import eventually
from tfleet.proxy.server import single_process_proxy

LARGE = bytes(200_000)
LOOKUP = b"GET /worker HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_unread_answers_are_bounded() -> None:
    """Who sends on without reading gets no more answers made than it takes."""
    answered = 0

    async def large(request: web.Request) -> web.Response:
        nonlocal answered
        await request.read()
        answered += 1
        return web.Response(body=LARGE)

    async def stalled() -> bool:
        before = answered
        await asyncio.sleep(0.3)
        return before == answered > 0

    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        worker.answer = large
        async with strict_client(proxy) as client:
            await client.send(post(b"x") * 300)
            await eventually(stalled)
            assert answered < 150, "the rest waits until there is room"
            for _ in range(300):
                assert (await client.whole()).body == LARGE
        assert answered == 300
        await assert_at_rest(proxy)


async def test_thousands_of_pipelined_lookups_delay_no_other() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        async with strict_client(proxy) as greedy, strict_client(proxy) as other:
            sending = asyncio.ensure_future(greedy.send(LOOKUP * 3000))
            for _ in range(5):
                await other.send(LOOKUP)
                assert (await other.whole()).status == 200
            for _ in range(3000):
                assert (await greedy.whole()).status == 200
            await sending


async def test_empty_lines_without_end_are_refused() -> None:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker)) as proxy,
        raw_client(proxy) as client,
    ):
        await client.send(b"\r\n" * 100_000)
        refusal = await client.answer()
        assert (refusal.status, refusal.problem()["detail"]) == (
            400,
            "invalid HTTP request: empty lines before the request line",
        )


async def test_a_slow_second_head_has_the_head_time_out() -> None:
    """Not that of an idle connection."""
    limits = replace(CLIENT_LIMITS, header_timeout_s=0.3, idle_timeout_s=60.0)
    async with fake_worker() as worker, single_process_proxy(settings(worker, client_limits=limits)) as proxy:
        async with raw_client(proxy) as client:
            await client.send(post(b"x"))
            assert (await client.answer()).status == 200
            await client.send(b"POST / HT")
            assert (await client.answer()).status == 408


@pytest.mark.process
async def test_a_second_head_may_begin_at_the_end_of_the_idle_time() -> None:
    limits = replace(CLIENT_LIMITS, header_timeout_s=10.0, idle_timeout_s=1.5)
    async with fake_worker() as worker, single_process_proxy(settings(worker, client_limits=limits)) as proxy:
        async with raw_client(proxy) as client:
            await client.send(post(b"x"))
            assert (await client.answer()).status == 200
            await asyncio.sleep(0.5)
            await client.send(post(b"x")[:20])
            await asyncio.sleep(1.2)
            await client.send(post(b"x")[20:])
            assert (await client.answer()).status == 200


@pytest.mark.parametrize("path", ["/healthz", "/nothing"])
async def test_a_page_asked_for_with_broken_chunks_is_refused(path: str) -> None:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker)) as proxy,
        raw_client(proxy) as client,
    ):
        head = f"GET {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.send(head.encode() + b"zz\r\n")
        answer = await client.answer()
        assert answer.status == 400
        assert answer.headers["connection"] == "close"
        assert await client.ends() == b""


async def test_a_worker_that_closes_at_once_is_skipped() -> None:
    async with scripted_worker() as closes, fake_worker() as good:
        limits = settings(closes.address, good, try_timeout_s=8.0)
        async with single_process_proxy(limits) as proxy, strict_client(proxy) as client:
            for _ in range(4):
                async with asyncio.timeout(4.0):
                    await client.send(post(b"x"))
                    assert (await client.whole()).status == 200
        await eventually(lambda: asyncio.sleep(0, closes.open_lines), wanted=lambda count: count == 0)
