"""`--cors-origin`: what a web page from elsewhere may read of a proxy."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web

from tests.support.browser_origins import ALLOW, EXPOSE, NOTHING, PREFLIGHT, A, B, C, headers_from
from tests.support.fake_worker import CLIENT_LIMITS, FakeWorker, fake_worker, settings
from tests.support.raw_client import raw_client
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.contract.cors import Cors
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.settings import Mode


@contextlib.asynccontextmanager
async def proxy_for(
    *origins: str, mode: Mode = "forward", worker: FakeWorker | None = None, max_connections: int = 100
) -> AsyncIterator[Address]:
    limits = replace(CLIENT_LIMITS, max_connections=max_connections)
    async with contextlib.AsyncExitStack() as stack:
        if worker is None:
            worker = await stack.enter_async_context(fake_worker())
        yield await stack.enter_async_context(
            single_process_proxy(
                settings(
                    worker,
                    mode=mode,
                    client_limits=limits,
                    cors=Cors.parse(origins),
                    max_body_bytes=1000,
                )
            )
        )


async def answer(
    proxy: Address,
    method: str,
    path: str,
    origin: str | None = A,
    *,
    body: bytes = b"",
    more: Mapping[str, str] = NOTHING,
) -> aiohttp.ClientResponse:
    headers = headers_from(origin, more)
    async with aiohttp.ClientSession() as session:
        sent = session.request(
            method, proxy.url + path, headers=headers, data=body or None, allow_redirects=False
        )
        async with sent as got:
            await got.read()
            return got


def allowed(got: aiohttp.ClientResponse) -> list[str]:
    return got.headers.getall(ALLOW, [])


REQUESTS = {
    "image": ("POST", "/predict", 200),
    "lookup": ("GET", "/worker", 200),
    "lease": ("GET", "/worker?n=2", 200),
    "bad lease": ("GET", "/worker?n=0", 400),
    "page": ("GET", "/workers", 200),
    "ready": ("GET", "/readyz", 200),
    "help": ("GET", "/", 200),
    "unknown": ("GET", "/nothing", 404),
    "method": ("DELETE", "/workers", 405),
}


@pytest.mark.parametrize(("method", "path", "status"), REQUESTS.values(), ids=REQUESTS)
async def test_each_answer_has_cors_headers(method: str, path: str, status: int) -> None:
    async with proxy_for(A, B) as proxy, proxy_for("*") as anybodys:
        body = b"image" if method == "POST" else b""
        got = await answer(proxy, method, path, body=body)
        assert (got.status, allowed(got)) == (status, [A])
        assert got.headers.getall("Vary") == ["Origin"]
        assert {"X-Request-Id", "X-Worker", "Retry-After"} <= set(got.headers[EXPOSE].split(", "))
        assert allowed(await answer(proxy, method, path, B, body=body)) == [B]
        for foreign in (C, "null", None):
            got = await answer(proxy, method, path, foreign, body=body)
            assert (got.status, allowed(got)) == (status, [])
            assert got.headers.getall("Vary") == ["Origin"]
        for origin in (C, None):
            got = await answer(anybodys, method, path, origin, body=body)
            assert allowed(got) == ["*"]
            assert EXPOSE in got.headers


async def test_errors_of_image_requests_have_cors_headers() -> None:
    async with fake_worker() as worker, proxy_for(A, B, worker=worker) as proxy:
        assert allowed(await answer(proxy, "POST", "/", body=bytes(1001))) == [A]
        got = await answer(proxy, "POST", "/", body=b"x", more={"X-Request-Timeout-Ms": "x"})
        assert (got.status, allowed(got)) == (400, [A])
        worker.answer = busy
        got = await answer(proxy, "POST", "/", body=b"x")
        assert (got.status, allowed(got), got.headers["Retry-After"]) == (429, [A], "1")
    async with proxy_for(A, B, worker=FakeWorker(Address("127.0.0.1", 1))) as proxy:
        got = await answer(proxy, "POST", "/", body=b"x")
        assert (got.status, allowed(got)) == (503, [A])
        assert (await answer(proxy, "GET", "/worker")).status == 503


async def busy(_: web.Request) -> web.Response:
    return web.Response(status=429, headers={"Retry-After": "1"})


@pytest.mark.parametrize("origins", [("*",), (A,)])
async def test_a_malformed_request_gets_cors_headers(origins: tuple[str, ...]) -> None:
    async with proxy_for(*origins) as proxy, raw_client(proxy) as client:
        await client.send(b"nonsense\r\n\r\n")
        refusal = await client.answer()
        assert (refusal.status, refusal.headers[ALLOW.lower()]) == (400, origins[0])


async def test_a_refused_connection_gets_cors_headers() -> None:
    async with proxy_for(A, max_connections=1) as proxy, raw_client(proxy) as first:
        await first.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await first.answer()).status == 200
        async with raw_client(proxy) as second:
            refusal = await second.answer()
            assert (refusal.status, refusal.headers[ALLOW.lower()]) == (503, A)


async def test_a_redirect_has_cors_headers() -> None:
    async with proxy_for(A, B, mode="p2p") as proxy:
        got = await eventually(lambda: answer(proxy, "POST", "/"), wanted=lambda found: found.status == 307)
        assert allowed(got) == [A]
        assert allowed(await answer(proxy, "GET", "/", B)) == [B]


async def test_a_workers_own_header_is_not_repeated() -> None:
    async def readable(_: web.Request) -> web.Response:
        theirs = {ALLOW: "*", EXPOSE: "X-A", "Vary": "Origin", "X-A": "1"}
        return web.Response(headers=theirs, text="ok")

    async with fake_worker() as worker:
        worker.answer = readable
        async with proxy_for(A, B, worker=worker) as proxy:
            got = await answer(proxy, "POST", "/", body=b"x")
            assert (allowed(got), got.headers["X-A"]) == ([A], "1")
            assert len(got.headers.getall(EXPOSE)) == len(got.headers.getall("Vary")) == 1
            assert allowed(await answer(proxy, "POST", "/", C, body=b"x")) == []


@pytest.mark.parametrize("path", ["/", "/predict", "/worker", "/workers", "/nothing"])
async def test_a_preflight_is_answered(path: str) -> None:
    async with fake_worker() as worker, proxy_for(A, worker=worker) as proxy:
        got = await answer(proxy, "OPTIONS", path, more=PREFLIGHT)
        assert (got.status, allowed(got), got.headers["Vary"]) == (204, [A], "Origin")
        assert "POST" in got.headers["Access-Control-Allow-Methods"]
        assert "X-Ticket" in got.headers["Access-Control-Allow-Headers"]
        assert int(got.headers["Access-Control-Max-Age"]) > 0
        got = await answer(proxy, "OPTIONS", path, more={**PREFLIGHT, "Origin": C}, origin=None)
        assert (got.status, allowed(got)) == (403, [])
        assert "--cors-origin" in (await refused_detail(proxy, path))
    assert worker.seen == []


async def refused_detail(proxy: Address, path: str) -> str:
    async with aiohttp.ClientSession() as session:
        async with session.options(proxy.url + path, headers={**PREFLIGHT, "Origin": C}) as got:
            return str((await got.json(content_type=None))["detail"])


async def test_cors_is_off_by_default() -> None:
    async with proxy_for() as proxy:
        got = await answer(proxy, "OPTIONS", "/predict", more=PREFLIGHT)
        assert (got.status, allowed(got)) == (405, [])
        for method, path, status in REQUESTS.values():
            got = await answer(proxy, method, path, body=b"x" if method == "POST" else b"")
            assert (got.status, allowed(got), "Vary" in got.headers) == (status, [], False)
