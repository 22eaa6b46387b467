"""What clients do that libraries don't: odd chunks, several requests at once, leaving, not reading."""

import asyncio
import random
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from tests.support.fake_worker import fake_worker, settings
from tests.support.proxy_invariants import assert_at_rest, metric, states
from tests.support.scripted_worker import (
    ScriptedWorker,
    hang,
    read,
    scripted_worker,
    wait,
    without_end,
)
from tests.support.strict_client import StrictClient, in_chunks, post, post_chunked, strict_client
from tests.support.waiting import eventually
from tfleet.discovery.registry import StaticRegistry
from tfleet.proxy.server import single_process_proxy

# A proxy and workers for each of many cases: the whole takes seconds.
pytestmark = pytest.mark.process

ABC = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
NOISE = random.Random(2).randbytes(150_000)
ONE_BY_ONE = [NOISE[i : i + 1] for i in range(300)]
ODD = [NOISE[:1], NOISE[1:16], NOISE[16:272], NOISE[272:4368], NOISE[4368:69_905], NOISE[69_905:]]

LEAVING: dict[str, Callable[[StrictClient], None]] = {
    "fin": lambda client: client.writer.close(),
    "rst": StrictClient.reset,
    "half-close": StrictClient.half_close,
}

CHUNKED_HEAD = post_chunked()[: -len(in_chunks())]


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (post_chunked(*ODD), NOISE),
        (post_chunked(*ONE_BY_ONE), NOISE[:300]),
        (post_chunked(), b""),
        (CHUNKED_HEAD + b'3;name="a;b";c\r\nabc\r\n00002;d\r\nde\r\n0;last\r\n\r\n', b"abcde"),
        (CHUNKED_HEAD + b"a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n", b"0123456789" * 2),
        (CHUNKED_HEAD + b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Forwarded-For: evil\r\n\r\n", b"abc"),
    ],
    ids=["odd sizes", "byte by byte", "none at all", "extensions", "capitals and zeros", "trailers"],
)
async def test_chunks_reach_the_worker_right_and_nothing_else_does(data: bytes, body: bytes) -> None:
    async with (
        scripted_worker(read, ABC, read, ABC, hang) as worker,
        single_process_proxy(settings(worker.address)) as proxy,
    ):
        async with strict_client(proxy) as client:
            for _ in range(2):
                await client.send(data)
                assert (await client.whole()).body == b"abc"
        assert [request.body for request in worker.requests] == [body, body]
        assert len(worker.lines) == 1, "the framing was right to the last byte"
        assert worker.requests[0].all(b"x-sum") == worker.requests[0].all(b"trailer") == []
        assert worker.requests[0].all(b"host") == [str(worker.address).encode()]


async def test_a_request_that_comes_byte_by_byte_is_a_request() -> None:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker)) as proxy,
        strict_client(proxy) as client,
    ):
        for value in post_chunked(b"abc", b"de"):
            await client.send(bytes([value]))
            await asyncio.sleep(0)
        assert (await client.whole()).status == 200
        assert worker.seen[0].body == b"abcde"


async def test_requests_in_one_segment_are_answered_in_their_order() -> None:
    async with fake_worker() as one, fake_worker() as two, single_process_proxy(settings(one, two)) as proxy:
        bodies = [b"%d" % number * 1000 for number in range(6)]
        requests = [post(body) if number % 2 else post_chunked(body) for number, body in enumerate(bodies)]
        async with strict_client(proxy) as client:
            await client.send(b"".join(requests) + b"GET /healthz HTTP/1.1\r\nHost: proxy\r\n\r\n")
            answers = [await client.whole() for _ in range(7)]
        assert [answer.status for answer in answers] == [200] * 7
        assert answers[-1].body == b"ok\n"
        assert [answer.headers["x-worker"] for answer in answers[:6]] == [
            str(one.address),
            str(two.address),
        ] * 3
        assert [seen.body for seen in one.seen] == bodies[::2]
        assert [seen.body for seen in two.seen] == bodies[1::2]


async def test_a_cut_answer_ends_the_pipelined_requests() -> None:
    """They were not answered, and nothing on this connection can be."""
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    async with scripted_worker(read, half) as bad, fake_worker() as good:
        async with single_process_proxy(settings(bad.address, good)) as proxy, strict_client(proxy) as client:
            await client.send(post(b"first") + post(b"second"))
            answer = await client.hear()
            assert answer is None or not answer.whole
            assert await client.ends() == b""
            await assert_at_rest(proxy, bad)
            assert good.seen == []


async def test_expect_100_continue_is_answered() -> None:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker)) as proxy,
        strict_client(proxy) as client,
    ):
        request = post(NOISE, "Expect: 100-continue")
        for _ in range(2):
            await client.send(request[: -len(NOISE)])
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send(NOISE)
            answer = await client.whole()
            assert (answer.status, answer.interim) == (200, ())
        assert [seen.body for seen in worker.seen] == [NOISE, NOISE]
        assert "Expect" not in worker.seen[0].headers


@pytest.mark.parametrize(
    ("size", "header", "workers", "status"),
    [(1000, "X-Request-Timeout-Ms: soon", 1, 400), (1001, "A: b", 1, 413), (1000, "A: b", 0, 503)],
)
async def test_a_client_that_waits_for_100_is_refused_before_its_body(
    size: int, header: str, workers: int, status: int
) -> None:
    async with scripted_worker(read, ABC) as worker:
        limits = settings(
            *[worker.address] * workers,
            max_body_bytes=1000,
            registry=StaticRegistry(()) if not workers else None,
        )
        async with single_process_proxy(limits) as proxy, strict_client(proxy) as client:
            await client.send(post(bytes(size), header, "Expect: 100-continue")[:-size])
            answer = await client.whole()
            assert (answer.status, answer.interim) == (status, ())
            answer.problem()
        assert worker.lines == []


async def test_an_unknown_expectation_is_417() -> None:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker)) as proxy,
        strict_client(proxy) as client,
    ):
        await client.send(post(b"x", "Expect: the-unexpected")[:-1])
        answer = await client.whole()
        assert (answer.status, answer.interim) == (417, ())
        answer.problem()
        assert worker.seen == []


async def test_an_http_1_0_client_gets_no_100_continue() -> None:
    """It would take 100 for the answer (RFC 9110 section 10.1.1)."""
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker)) as proxy,
        strict_client(proxy) as client,
    ):
        await client.send(post(b"x", "Expect: 100-continue", version="1.0"))
        answer = await client.whole()
        assert (answer.status, answer.interim) == (200, ())


@pytest.mark.parametrize("way", ["fin", "rst"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_client_leaving_in_its_body_ends_the_upstream(way: str, framing: str) -> None:
    async with scripted_worker(read) as worker, single_process_proxy(settings(worker.address)) as proxy:
        async with strict_client(proxy) as client:
            request = post(NOISE) if framing == "length" else post_chunked(NOISE)
            await client.send(request[:50_000])
            await eventually(lambda: _arrived(worker))
            LEAVING[way](client)
            await assert_at_rest(proxy, worker)
        assert worker.requests == [], "a body that broke off never looks like a whole one"
        assert await states(proxy) == ["ready"], "it is not to blame"


async def _arrived(worker: ScriptedWorker) -> bool:
    return bool(worker.lines)


@pytest.mark.parametrize(
    "chunks", [b"zz\r\nabc\r\n0\r\n\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"3\r\nabc\r\n-1\r\n"]
)
async def test_invalid_chunks_are_400_and_eject_no_worker(chunks: bytes) -> None:
    async with scripted_worker(read) as worker, single_process_proxy(settings(worker.address)) as proxy:
        async with strict_client(proxy) as client:
            await client.send(CHUNKED_HEAD + b"5\r\nfirst\r\n")
            await eventually(lambda: _arrived(worker))
            await client.send(chunks)
            async with asyncio.timeout(3.0):
                assert (await client.whole()).status == 400
            assert await client.ends() == b""
        await assert_at_rest(proxy, worker)
        assert worker.requests == []
        assert await states(proxy) == ["ready"]


async def test_invalid_pipelined_chunks_are_400_in_turn() -> None:
    async with (
        scripted_worker(read, wait, ABC) as worker,
        single_process_proxy(settings(worker.address)) as proxy,
    ):
        async with strict_client(proxy) as client:
            await client.send(post(b"x") + CHUNKED_HEAD + b"5\r\nfirst\r\n")
            await eventually(lambda: asyncio.sleep(0, worker.requests))
            await client.send(b"zz\r\n")
            worker.go_on.set()
            assert (await client.whole()).body == b"abc"
            async with asyncio.timeout(3.0):
                assert (await client.whole()).status == 400
            assert await client.ends() == b""
        await assert_at_rest(proxy, worker)


@pytest.mark.parametrize("way", ["fin", "rst"])
async def test_a_client_leaving_while_waiting_ends_the_upstream(way: str) -> None:
    leave = LEAVING[way]
    async with scripted_worker(read, hang) as worker, single_process_proxy(settings(worker.address)) as proxy:
        with capture_logs() as logs:
            async with strict_client(proxy) as client:
                await client.send(post(b"x"))
                await eventually(lambda: asyncio.sleep(0, worker.requests))
                leave(client)
                await assert_at_rest(proxy, worker)
        assert [
            line["status"] for line in logs if line["event"] == "request" and line["method"] == "POST"
        ] == [499]
        assert await states(proxy) == ["ready"]


async def test_a_half_closed_client_gets_its_answer() -> None:
    async with scripted_worker(read, wait, ABC, hang) as worker:
        async with single_process_proxy(settings(worker.address)) as proxy, strict_client(proxy) as client:
            await client.send(post(b"x"))
            await eventually(lambda: asyncio.sleep(0, worker.requests))
            client.half_close()
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            worker.go_on.set()
            answer = await client.whole()
            assert (answer.status, answer.body) == (200, b"abc")
            assert await client.ends() == b""


async def test_a_client_may_half_close_within_its_answer() -> None:
    begin = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"
    async with scripted_worker(read, begin, wait, b"def", hang) as worker:
        async with single_process_proxy(settings(worker.address)) as proxy, strict_client(proxy) as client:
            await client.send(post(b"x"))
            head = await client.reader.readuntil(b"\r\n\r\nabc")
            assert head.startswith(b"HTTP/1.1 200 ")
            client.half_close()
            await asyncio.sleep(0.1)
            worker.go_on.set()
            assert await client.ends() == b"def"


async def test_a_client_leaving_in_an_answer_ends_the_upstream() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with scripted_worker(read, head, without_end(in_chunks(bytes(10_000))[:-5])) as worker:
        async with single_process_proxy(settings(worker.address)) as proxy:
            async with strict_client(proxy) as client:
                await client.send(post(b"x"))
                await client.reader.readexactly(100_000)
                client.reset()
                await assert_at_rest(proxy, worker)
            assert await states(proxy) == ["ready"]
            assert await metric(proxy, "tfleet_proxy_broken_answers_total") == 0


async def test_a_slow_reader_holds_up_the_worker_not_the_proxy() -> None:
    """What is between them is bounded, time doesn't count, and all of it comes when it is read."""
    size, piece = 64 * 1024 * 1024, bytes(range(256)) * 1024
    sent = 0

    async def give(line: object) -> None:
        nonlocal sent
        (one,) = worker.lines
        while sent < size:
            one.writer.write(piece)
            sent += len(piece)
            await one.writer.drain()

    async def stalled() -> bool:
        before = sent
        await asyncio.sleep(0.7)
        return before == sent > 0

    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    async with scripted_worker(read, head, give) as worker:
        async with single_process_proxy(settings(worker.address, try_timeout_s=0.5)) as proxy:
            async with strict_client(proxy) as client:
                await client.send(post(b"x"))
                await eventually(stalled)
                assert sent < size / 2
                await client.reader.readuntil(b"\r\n\r\n")
                for _ in range(size // len(piece)):
                    assert await client.reader.readexactly(len(piece)) == piece
            await assert_at_rest(proxy, worker)
            assert await states(proxy) == ["ready"]
