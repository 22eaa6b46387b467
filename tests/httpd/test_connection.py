"""What a client may take: time for a head, connections, idle ones. Each refusal says why."""

import asyncio
import contextlib
import time
from dataclasses import replace

import aiohttp
import aiohttp.web
import pytest
from structlog.testing import capture_logs

from tests.support.fake_worker import CLIENT_LIMITS, fake_worker, settings
from tests.support.raw_client import RawClient, raw_client
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.proxy.server import single_process_proxy

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd"
IMPATIENT = replace(CLIENT_LIMITS, header_timeout_s=0.3)


async def metric(proxy: Address, name: str) -> float:
    """One line of the metrics; 0 where it isn't there yet."""
    async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/metrics") as answer:
        for line in (await answer.text()).splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
    return 0.0


async def test_a_head_that_takes_too_long_is_refused_with_408() -> None:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker, client_limits=IMPATIENT)) as proxy,
    ):
        async with raw_client(proxy) as client:
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\n")
            refusal = await client.answer()
            assert refusal.status == 408
            assert "--header-timeout" in refusal.problem()["detail"]
            assert refusal.headers["x-request-id"]
            assert await client.ends() == b""
    assert worker.seen == []


async def test_a_slowly_sent_head_gains_no_time() -> None:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker, client_limits=IMPATIENT)) as proxy,
    ):
        async with raw_client(proxy) as client:
            began_s = time.monotonic()
            dripping = asyncio.ensure_future(drip(client))
            assert (await client.answer()).status == 408
            assert time.monotonic() - began_s < 3.0
            dripping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await dripping


async def drip(client: RawClient) -> None:
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nX: ")
    while True:
        await asyncio.sleep(0.02)
        await client.send(b"x")


async def test_a_silent_new_connection_is_closed_without_an_answer() -> None:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker, client_limits=IMPATIENT)) as proxy,
    ):
        async with raw_client(proxy) as client:
            assert await client.ends() == b""


@pytest.mark.process
async def test_the_time_for_a_head_begins_anew_with_each_request() -> None:
    limits = replace(CLIENT_LIMITS, header_timeout_s=1.0)
    async with fake_worker() as worker, single_process_proxy(settings(worker, client_limits=limits)) as proxy:
        async with raw_client(proxy) as client:
            for _ in range(4):
                await client.send(POST[:10])
                await asyncio.sleep(0.3)
                await client.send(POST[10:])
                assert (await client.answer()).status == 200
    assert len(worker.seen) == 4


async def test_a_pipelined_head_does_not_cost_the_first_its_answer() -> None:
    release = asyncio.Event()
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker, client_limits=IMPATIENT)) as proxy,
    ):

        async def held(request: aiohttp.web.Request) -> aiohttp.web.Response:
            await release.wait()
            return aiohttp.web.Response(text=(await request.read()).decode())

        worker.answer = held
        async with raw_client(proxy) as client:
            await client.send(POST + POST[:20])
            asyncio.get_running_loop().call_later(0.6, release.set)
            first = await client.answer()
            assert (first.status, first.body) == (200, b"abcd")
            await client.send(POST[20:])
            assert (await client.answer()).status == 200


async def test_a_body_may_take_longer_than_a_head() -> None:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker, client_limits=IMPATIENT)) as proxy,
    ):
        async with raw_client(proxy) as client:
            await client.send(POST[:-4])
            for byte in (b"a", b"b", b"c", b"d"):
                await asyncio.sleep(0.2)
                await client.send(byte)
            assert (await client.answer()).status == 200


async def test_a_connection_is_kept_idle_only_for_so_long() -> None:
    limits = replace(CLIENT_LIMITS, idle_timeout_s=0.3)
    async with fake_worker() as worker, single_process_proxy(settings(worker, client_limits=limits)) as proxy:
        async with raw_client(proxy) as client:
            await client.send(POST)
            assert (await client.answer()).status == 200
            assert await client.ends() == b""


async def test_an_endless_head_is_refused_with_400() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        async with raw_client(proxy) as client:
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\n")
            for number in range(100):
                await client.send(b"X-%d: %s\r\n" % (number, b"a" * 4000))
            refusal = await client.answer()
            assert (refusal.status, refusal.problem()["detail"]) == (
                400,
                "invalid HTTP request: the head is over 65536 bytes",
            )
            assert await client.ends() == b""


async def test_a_refusal_is_logged_and_counted_under_its_request_id() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        with capture_logs() as logs:
            async with raw_client(proxy) as client:
                await client.send(b"GARBAGE\r\n\r\n")
                refusal = await client.answer()
        (line,) = [line for line in logs if line["event"] == "request"]
        assert line["request_id"] == refusal.headers["x-request-id"]
        assert (line["status"], line["error"]) == (400, refusal.problem()["detail"])
        assert await metric(proxy, 'tfleet_proxy_requests_total{route="malformed",status="400"}') == 1


async def test_a_connection_over_the_limit_gets_503() -> None:
    """The others are served."""
    limits = replace(CLIENT_LIMITS, max_connections=2)
    async with fake_worker() as worker, single_process_proxy(settings(worker, client_limits=limits)) as proxy:
        async with raw_client(proxy) as one, raw_client(proxy) as two:
            for client in (one, two):
                await client.send(POST)
                assert (await client.answer()).status == 200
            async with raw_client(proxy) as third:
                refusal = await third.answer()
                assert refusal.status == 503
                assert refusal.headers["retry-after"] == "1"
                assert "--max-connections" in refusal.problem()["detail"]
                assert await third.ends() == b""
            await one.send(POST)
            assert (await one.answer()).status == 200
        # Their places are free again.
        assert await eventually(lambda: metric(proxy, "tfleet_proxy_refused_connections_total"), wanted=bool)
        async with raw_client(proxy) as fourth:
            await fourth.send(POST)
            assert (await fourth.answer()).status == 200


async def test_the_proxy_closes_an_idle_connection_for_a_new_one() -> None:
    limits = replace(CLIENT_LIMITS, max_connections=1, idle_give_way=True)
    async with fake_worker() as worker, single_process_proxy(settings(worker, client_limits=limits)) as proxy:
        async with raw_client(proxy) as first:
            await first.send(POST)
            assert (await first.answer()).status == 200
            async with raw_client(proxy) as second:
                await second.send(POST)
                assert (await second.answer()).status == 200
            assert await first.ends() == b""


async def test_a_client_that_is_refused_while_sending_sees_why() -> None:
    limits = replace(CLIENT_LIMITS, max_connections=1)
    async with fake_worker() as worker, single_process_proxy(settings(worker, client_limits=limits)) as proxy:
        async with raw_client(proxy), raw_client(proxy) as second:
            head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n"
            await second.send(head + bytes(5_000_000))
            assert (await second.answer()).status == 503


@pytest.mark.process
@pytest.mark.parametrize("path", ["/healthz", "/"])
async def test_while_draining_an_answer_ends_its_connection(path: str) -> None:
    async with fake_worker() as worker:
        draining = settings(worker, drain_grace_s=1.0)
        proxied = single_process_proxy(draining)
        proxy = await proxied.__aenter__()
        async with raw_client(proxy) as client:
            await client.send(request_for(path))
            assert "connection" not in (await client.answer()).headers
            stopping = asyncio.ensure_future(proxied.__aexit__(None, None, None))
            await eventually(lambda: status_of(proxy, "/readyz"), wanted=lambda status: status == 503)
            await client.send(request_for(path))
            last = await client.answer()
            assert (last.status, last.headers["connection"]) == (200, "close")
            assert await client.ends() == b""
        await stopping


def request_for(path: str) -> bytes:
    return POST if path == "/" else f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


async def status_of(proxy: Address, path: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(proxy.url + path) as answer:
        return answer.status
