import asyncio
import contextlib
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from tests.support.fake_worker import FakeWorker, fake_worker, raw_server, settings
from tfleet.contract.address import Address
from tfleet.proxy.server import single_process_proxy


async def post(
    address: Address,
    path: str = "/",
    *,
    data: object,
    headers: dict[str, str] | None = None,
    allow_redirects: bool = True,
) -> tuple[aiohttp.ClientResponse, bytes]:
    url = URL(address.url + path, encoded=True)
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=data, headers=headers, allow_redirects=allow_redirects) as answer,
    ):
        return answer, await answer.read()


async def get(address: Address, path: str) -> tuple[aiohttp.ClientResponse, bytes]:
    async with aiohttp.ClientSession() as session, session.get(address.url + path) as answer:
        return answer, await answer.read()


@contextlib.asynccontextmanager
async def two_workers() -> AsyncIterator[tuple[FakeWorker, FakeWorker]]:
    async with fake_worker() as one, fake_worker() as two:
        yield one, two


async def test_request_and_answer_pass_unchanged() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        body = b"\xff\xd8" + bytes(range(256)) * 200
        answer, content = await post(
            proxy,
            "/predict?top=3&x=%2F",
            data=body,
            headers={"Content-Type": "image/jpeg", "X-Request-Id": "mine"},
        )
        assert answer.status == 200
        assert json.loads(content) == {"sha": hashlib.sha256(body).hexdigest()}
        assert answer.headers["X-Request-Id"] == "mine"
        assert answer.headers["X-Model"] == "lite0/1"
        assert answer.headers["X-Worker"] == str(worker.address)
        (seen,) = worker.seen
        assert (seen.method, seen.path, seen.body) == ("POST", "/predict?top=3&x=%2F", body)
        assert seen.headers["Content-Type"] == "image/jpeg"
        assert seen.headers["Content-Length"] == str(len(body))
        assert seen.headers["X-Forwarded-For"] == "127.0.0.1"
        assert seen.headers["X-Request-Id"] == "mine"
        assert "User-Agent" in seen.headers


async def test_an_image_for_its_vector_goes_on_or_elsewhere() -> None:
    async with fake_worker() as worker:
        async with single_process_proxy(settings(worker)) as proxy:
            answer, _ = await post(proxy, "/embed", data=b"image")
            assert (answer.status, worker.seen[0].path, worker.seen[0].body) == (200, "/embed", b"image")
            _, metrics = await get(proxy, "/metrics")
            assert b'tfleet_proxy_requests_total{route="/embed",status="200"} 1.0' in metrics
            answer, _ = await get(proxy, "/embed")
            assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        async with single_process_proxy(settings(worker, mode="p2p")) as proxy:
            answer, _ = await post(proxy, "/embed", data=b"image", allow_redirects=False)
            assert answer.headers["Location"] == f"{worker.address.url}/embed"
            assert answer.status == 307


async def test_an_encoded_body_goes_on_as_it_came() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        body = gzip.compress(b"an image" * 100)
        assert (await post(proxy, data=body, headers={"Content-Encoding": "gzip"}))[0].status == 200
        assert worker.seen[0].headers["Content-Encoding"] == "gzip"
        assert worker.seen[0].headers["Content-Length"] == str(len(body))


async def test_an_absolute_url_in_the_request_line_becomes_its_path() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        writer.write(
            b"POST http://elsewhere:1/predict?top=%2F HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()
        assert worker.seen[0].path == "/predict?top=%2F"


async def test_requests_are_shared_evenly() -> None:
    async with two_workers() as (one, two), single_process_proxy(settings(one, two)) as proxy:
        shares = Counter([(await post(proxy, data=b"x"))[0].headers["X-Worker"] for _ in range(10)])
        assert set(shares.values()) == {5}
        assert len(one.seen) == len(two.seen) == 5


async def test_least_request_leaves_a_busy_worker_alone() -> None:
    release = asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        await release.wait()
        return web.Response(text="late")

    async with (
        two_workers() as (slow, quick),
        single_process_proxy(settings(slow, quick, balance="least-request")) as proxy,
    ):
        slow.answer = hold
        held: list[asyncio.Future[object]] = []
        while not held or all(f.done() for f in held):
            held.append(asyncio.ensure_future(post(proxy, data=b"x")))
            await asyncio.wait(held, timeout=0.2)
        for _ in range(10):
            assert (await post(proxy, data=b"x"))[0].headers["X-Worker"] == str(quick.address)
        release.set()
        await asyncio.gather(*held)


async def test_a_chunked_body_without_a_length_is_passed_on() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"piece"

    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        answer, _ = await post(proxy, data=pieces())
        assert answer.status == 200
        assert worker.seen[0].body == b"piece" * 5


async def test_an_answer_comes_through_while_it_is_made() -> None:
    go_on = asyncio.Event()

    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await go_on.wait()
        await response.write(b"second")
        return response

    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker)) as proxy,
        aiohttp.ClientSession() as session,
    ):
        worker.answer = trickle
        async with session.post(proxy.url, data=b"x") as answer:
            assert await answer.content.readany() == b"first"
            go_on.set()
            assert await answer.content.read() == b"second"


async def rows(proxy: Address) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/workers") as answer:
        found: list[dict[str, Any]] = (await answer.json())["workers"]
        return found


async def test_a_refused_connection_ejects_at_the_first_try() -> None:
    async with contextlib.AsyncExitStack() as leaving, fake_worker() as stays:
        leaves = await leaving.enter_async_context(fake_worker())
        async with single_process_proxy(settings(leaves, stays)) as proxy:
            await leaving.aclose()
            for _ in range(4):
                assert (await post(proxy, data=b"x"))[0].status == 200
            gone, here = await rows(proxy)
            assert (gone["state"], here["state"]) == ("ejected", "ready")
            assert "can't connect" in gone["last_error"]


async def test_a_failed_last_worker_is_502_and_no_worker_503() -> None:
    """The 503 has a Retry-After."""
    async with contextlib.AsyncExitStack() as leaving:
        worker = await leaving.enter_async_context(fake_worker())
        async with single_process_proxy(settings(worker)) as proxy:
            await leaving.aclose()
            answer, content = await post(proxy, data=b"x")
            assert answer.status == 502
            assert "can't connect" in json.loads(content)["detail"]
            answer, content = await post(proxy, data=b"x")
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "1"
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert json.loads(content)["success"] is False


async def test_a_body_over_the_limit_is_refused_before_it_is_sent() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker, max_body_bytes=1000)) as proxy:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413")
        assert b"100 Continue" not in head
        assert b"--max-body-bytes" in await reader.read(1000)
        writer.close()
        assert worker.seen == []


async def test_a_body_that_grows_over_the_limit_is_refused() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100

    async with fake_worker() as worker, single_process_proxy(settings(worker, max_body_bytes=1000)) as proxy:
        answer, content = await post(proxy, data=endless())
        assert answer.status == 413
        assert "--max-body-bytes" in json.loads(content)["detail"]
        assert (await post(proxy, data=b"x" * 1000))[0].status == 200, "the worker was not blamed"


async def test_an_answer_that_takes_too_long_is_a_504() -> None:
    async def never(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with fake_worker() as worker, single_process_proxy(settings(worker, timeout_s=0.2)) as proxy:
        worker.answer = never
        answer, content = await post(proxy, data=b"x")
        assert answer.status == 504
        assert "--timeout" in json.loads(content)["detail"]
        async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/metrics") as metrics:
            failed = 'tfleet_proxy_tries_total{model="",result="failed",version=""} 1.0'
            assert failed in await metrics.text(), "a canary that is silent has failed"


@pytest.mark.process
async def test_the_deadline_is_for_the_answers_head_only() -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(12):
            await response.write(b"x")
            await asyncio.sleep(0.1)
        return response

    async with fake_worker() as worker, single_process_proxy(settings(worker, timeout_s=1.0)) as proxy:
        worker.answer = trickle
        answer, content = await post(proxy, data=b"x")
        assert (answer.status, content) == (200, b"x" * 12)


async def test_a_workers_answer_passes_with_any_status() -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(
            status=415, body=b"{}", headers={"Content-Type": "application/problem+json", "X-Own": "1"}
        )

    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        worker.answer = refuse
        answer, content = await post(proxy, data=b"x")
        assert (answer.status, content, answer.headers["X-Own"]) == (415, b"{}", "1")


@pytest.mark.process
async def test_a_large_body_is_never_held_whole() -> None:
    """The proxy stops reading from the client when the worker stops reading.

    What is in between holds less than half of it: two pairs of socket buffers of at most 32 and 4 MB.
    """
    size, sent = 256 * 1024 * 1024, 0
    go_on = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        await reader.readuntil(b"\r\n\r\n")
        left = size
        while left:
            left -= len(await reader.read(left))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with (
        raw_server(stall) as worker,
        single_process_proxy(settings(worker, max_body_bytes=size)) as proxy,
    ):
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        writer.write(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        piece = bytes(256 * 1024)
        with contextlib.suppress(TimeoutError):
            while sent < size:
                writer.write(piece)
                sent += len(piece)
                await asyncio.wait_for(writer.drain(), 1)
        assert sent < size / 2
        go_on.set()
        while sent < size:
            await writer.drain()
            writer.write(piece)
            sent += len(piece)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()


@pytest.mark.parametrize("path", ["/predict?G1=1&G2=0", "/models/flowers", "/models/flowers/versions/3"])
async def test_questions_to_a_model_are_forwarded(path: str) -> None:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker)) as proxy,
        aiohttp.ClientSession() as session,
    ):
        async with session.get(f"{proxy.url}{path}") as answer:
            assert (answer.status, answer.headers["X-Model"]) == (200, "lite0/1")
        async with session.head(f"{proxy.url}{path}") as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        async with session.post(f"{proxy.url}{path}", data=b"1") as answer:
            assert answer.status == 200
        assert [(one.method, one.path) for one in worker.seen] == [
            (method, path) for method in ("GET", "HEAD", "POST")
        ]


async def test_other_paths_are_not_forwarded() -> None:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker)) as proxy,
        aiohttp.ClientSession() as session,
    ):
        for method, path, status in (
            ("GET", "/modelstore", 404),
            ("DELETE", "/models", 405),
            ("POST", "/flowers/predict", 404),
        ):
            async with session.request(method, f"{proxy.url}{path}") as answer:
                assert answer.status == status
        assert worker.seen == []
