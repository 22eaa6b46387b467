"""Pages of an application behind a unix socket, as clients of the proxy get them: bodies, streams, limits."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.fake_worker import settings
from tests.support.raw_client import RawClient, raw_client
from tfleet.contract.address import Address
from tfleet.httpd.server import Server, listening
from tfleet.proxy.admin.page_request import PageForwarder, PageLimits
from tfleet.proxy.admin.page_server import page_server
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.routes import ProxyErrorResponses
from tfleet.proxy.telemetry.access_log import AccessLog
from tfleet.proxy.telemetry.metrics import ProxyMetrics
from tfleet.proxy.upstream.connection_pool import WorkerConnections

MB = 1_000_000
LIMITS = PageLimits(max_body_bytes=MB, timeout_s=5.0, client_timeout_s=5.0)
NAMED = {"X-Request-Id": "1"}


@contextlib.asynccontextmanager
async def site(
    handler: object, limits: PageLimits = LIMITS, *, readiness: Readiness | None = None
) -> AsyncIterator[Address]:
    """A port whose requests all go to one page."""
    app = web.Application(client_max_size=10 * MB)
    app.router.add_route("*", "/{path:.*}", handler)  # type: ignore[arg-type] # each test's own
    async with page_server(app) as path, forwarding(path, limits, readiness) as address:
        yield address


@contextlib.asynccontextmanager
async def forwarding(
    path: Path, limits: PageLimits = LIMITS, readiness: Readiness | None = None
) -> AsyncIterator[Address]:
    loop, cors = asyncio.get_running_loop(), settings().cors
    observer = AccessLog(ProxyMetrics(), loop)
    with WorkerConnections(loop, 15.0) as connections:
        pages = PageForwarder(path, connections, limits, observer, cors, loop)
        server = Server(pages, ProxyErrorResponses(observer, cors), settings().listen.limits, loop)
        (readiness or Readiness()).on_drain(server.drain)
        here = Address("127.0.0.1", 0)
        async with listening(server, here, option="--port", drain_timeout_s=1.0) as address:
            yield address


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read(), headers=NAMED)


def post(body: bytes, *headers: str) -> bytes:
    lines = [
        "POST /page?a=b HTTP/1.1",
        "Host: proxy.example",
        f"Content-Length: {len(body)}",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


async def chunked_body(client: RawClient) -> tuple[bytes, bytes]:
    """The head of an answer and its body, which comes in chunks."""
    head = await client.reader.readuntil(b"\r\n\r\n")
    body = b""
    while size := int(await client.reader.readline(), 16):
        body += await client.reader.readexactly(size)
        await client.reader.readexactly(2)
    await client.reader.readexactly(2)
    return head, body


async def test_a_body_reaches_the_page_and_the_connection_goes_on() -> None:
    async with site(echo) as proxy, raw_client(proxy) as client:
        for size in (0, 1, 500_000, MB):
            await client.send(post(bytes(size)))
            answer = await client.answer()
            assert (answer.status, len(answer.body)) == (200, size)


async def test_a_body_is_not_unpacked() -> None:
    body = gzip.compress(bytes(MB))
    async with site(echo) as proxy, raw_client(proxy) as client:
        await client.send(post(body, "Content-Encoding: gzip"))
        assert (await client.answer()).body == body


async def test_a_chunked_body_reaches_the_page() -> None:
    async with site(echo) as proxy, raw_client(proxy) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await client.send(b"2\r\nde\r\n0\r\n\r\n")
        assert (await client.answer()).body == b"abcde"


async def test_a_page_sees_what_the_client_said() -> None:
    seen: list[web.Request] = []

    async def show(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(headers={"X-Request-Id": request.headers["X-Request-Id"]})

    async with site(show) as proxy, raw_client(proxy) as client:
        await client.send(
            post(b"", "X-Request-Id: mine", "X-Forwarded-For: 192.0.2.1", "Accept: a/b", "TE: x", "Via: v")
        )
        assert (await client.answer()).headers["x-request-id"] == "mine"
    (request,) = seen
    assert (request.method, request.raw_path, request.host) == ("POST", "/page?a=b", "proxy.example")
    assert request.headers["X-Forwarded-For"] == "192.0.2.1, 127.0.0.1"
    assert (request.headers["Accept"], request.headers["Via"]) == ("a/b", "v")
    assert "TE" not in request.headers


async def test_a_body_over_the_limit_is_413() -> None:
    async with site(echo) as proxy, raw_client(proxy) as client:
        await client.send(post(bytes(MB + 1)))
        answer = await client.answer()
        assert answer.status == 413
        assert "--max-body-bytes" in answer.problem()["detail"]


async def test_an_endless_body_is_413_however_it_comes() -> None:
    async with site(echo) as proxy, raw_client(proxy) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            await client.send(b"%x\r\n%b\r\n" % (100_000, bytes(100_000)))
        assert (await client.answer()).status == 413


async def test_a_page_refusing_by_its_head_answers_before_the_body() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=404, headers=NAMED)

    async with site(refuse) as proxy, raw_client(proxy) as client:
        await client.send(post(bytes(MB))[:-MB])
        assert (await client.answer()).status == 404


async def test_a_refusal_comes_before_the_body_is_asked_for() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=404, headers=NAMED)

    async with site(refuse) as proxy, raw_client(proxy) as client:
        await client.send(post(b"abc", "Expect: 100-continue")[:-3])
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (404, "close")


async def test_a_body_that_a_page_waits_for_is_asked_for() -> None:
    async with site(echo) as proxy, raw_client(proxy) as client:
        await client.send(post(b"abc", "Expect: 100-continue")[:-3])
        assert (await client.answer()).status == 100
        await client.send(b"abc")
        assert (await client.answer()).body == b"abc"


async def test_a_body_that_stops_is_408() -> None:
    limits = replace(LIMITS, client_timeout_s=0.2)
    async with site(echo, limits) as proxy, raw_client(proxy) as client:
        await client.send(post(bytes(100))[:-1])
        answer = await client.answer()
        assert answer.status == 408
        assert "--client-timeout" in answer.problem()["detail"]


async def test_chunks_that_can_t_be_read_are_400() -> None:
    async with site(echo) as proxy, raw_client(proxy) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
        assert (await client.answer()).status == 400
        assert await client.ends() == b""


async def test_a_page_that_does_not_answer_is_504_and_cancelled() -> None:
    cancelled = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return web.Response()

    limits = replace(LIMITS, timeout_s=0.2)
    async with site(hang, limits) as proxy, raw_client(proxy) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer()).status == 504
        await asyncio.wait_for(cancelled.wait(), 5)


async def test_a_body_that_drips_for_too_long_is_408() -> None:
    limits = replace(LIMITS, timeout_s=0.2, client_timeout_s=5.0)
    async with site(echo, limits) as proxy, raw_client(proxy) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        answer = await client.answer()
    assert answer.status == 408
    assert b"the body took over 0.2 s" in answer.body


async def test_a_client_that_leaves_ends_its_page() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return web.Response()

    async with site(hang) as proxy:
        async with raw_client(proxy) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await begun.wait()
        await asyncio.wait_for(cancelled.wait(), 5)


@pytest.mark.parametrize("timeout_s", [0.2, 5.0])
async def test_a_stream_comes_as_it_is_written_however_long(timeout_s: float) -> None:
    more = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=NAMED)
        await response.prepare(request)
        await response.write(b"first")
        await more.wait()
        await response.write(b"second")
        return response

    limits = replace(LIMITS, timeout_s=timeout_s, client_timeout_s=timeout_s)
    async with site(stream, limits) as proxy, raw_client(proxy) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.reader.readuntil(b"first")
        asyncio.get_running_loop().call_later(0.5, more.set)  # longer than the shorter of the limits
        assert b"second" in await client.reader.readuntil(b"0\r\n\r\n")
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await chunked_body(client))[1] == b"firstsecond"


async def test_a_stream_to_http_1_0_ends_with_the_connection() -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=NAMED)
        await response.prepare(request)
        await response.write(b"all of it")
        return response

    async with site(stream) as proxy, raw_client(proxy) as client:
        await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head, _, body = (await client.ends()).partition(b"\r\n\r\n")
        assert body == b"all of it"
        assert b"Transfer-Encoding" not in head


@pytest.mark.process
async def test_a_client_that_reads_nothing_stops_the_page_and_is_cut() -> None:
    written, ended = 0, asyncio.Event()

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(headers=NAMED)
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(100_000))
                written += 100_000
        finally:
            ended.set()

    limits = replace(LIMITS, client_timeout_s=0.3)
    async with site(flood, limits) as proxy, raw_client(proxy) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined] # a transport that reads
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(ended.wait(), 10)
    assert written < 100 * MB, "the client sets the pace"


async def test_head_has_the_length_and_no_body() -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="hello", headers=NAMED)

    async with site(page) as proxy, raw_client(proxy) as client:
        await client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: 5\r\n" in head
        assert (await client.answer()).body == b"hello"


async def test_while_the_proxy_drains_a_page_is_the_last_answer() -> None:
    readiness = Readiness()
    async with site(echo, readiness=readiness) as proxy, raw_client(proxy) as client:
        await client.send(post(b"a"))
        assert "connection" not in (await client.answer()).headers
        readiness.drain()
        await client.send(post(b"a"))
        assert (await client.answer()).headers["connection"] == "close"
        assert await client.ends() == b""


async def test_an_application_that_is_gone_is_503() -> None:
    async with forwarding(Path("/nowhere/pages")) as proxy, raw_client(proxy) as client:
        for _ in range(2):
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = await client.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")


async def test_a_page_that_dies_halfway_breaks_the_answer_off() -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=NAMED)
        await response.prepare(request)
        await response.write(b"first")
        assert request.transport is not None
        request.transport.abort()
        await asyncio.Event().wait()
        return response

    async with site(stream) as proxy, raw_client(proxy) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert not (await client.ends()).endswith(b"0\r\n\r\n")


async def test_a_request_that_only_the_page_app_rejects_is_400() -> None:
    async with site(echo) as proxy, raw_client(proxy) as client:
        await client.send(b"GET http://[/ HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await client.answer()
        assert answer.status in {200, 400}
        assert "x-request-id" in answer.headers


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with site(echo) as proxy, raw_client(proxy) as client:
        await client.send(b"".join(post(b"%d" % number) for number in range(40)))
        assert [(await client.answer()).body for _ in range(40)] == [b"%d" % number for number in range(40)]


async def test_many_concurrent_page_requests_are_answered() -> None:
    async with site(echo) as proxy, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw_client(proxy)) for _ in range(50)]
        for _ in range(3):  # over kept connections from the second time on
            for client in clients:
                await client.send(post(bytes(10_000)))
            assert {(await client.answer()).status for client in clients} == {200}
