"""Answers that come before the request was read: the client gets them whole, whether it sends on or not.

A worker that refuses a body from its head answers so. If it then closes with bytes unread, that is a reset.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.support.canned_server import canned, http
from tests.support.fake_worker import fake_worker, settings
from tests.support.proxy_invariants import assert_at_rest, states
from tests.support.scripted_worker import (
    Line,
    ScriptedWorker,
    Step,
    half_close,
    hang,
    read,
    read_head,
    reset,
    scripted_worker,
    wait,
)
from tests.support.strict_client import Heard, StrictClient, in_chunks, post, strict_client
from tfleet.contract.address import Address
from tfleet.proxy.server import single_process_proxy

# A proxy and workers for each of many cases: the whole takes seconds.
pytestmark = pytest.mark.process

LARGE = 6_000_000
"""More than the buffers between client and worker hold."""

TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\n"
REASON = b"the image is too large " * 100
LENGTH = b"Content-Length: %d\r\n" % len(REASON)
ANSWER = TOO_LARGE + LENGTH + b"\r\n" + REASON
LAST_ANSWER = TOO_LARGE + b"Connection: close\r\n" + LENGTH + b"\r\n" + REASON
IN_CHUNKS = TOO_LARGE + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(REASON[:1000], REASON[1000:])
NO_LENGTH = TOO_LARGE + b"\r\n" + REASON

ENDS: dict[str, tuple[Step, ...]] = {
    "keeps the connection": (ANSWER, wait, hang),
    "keeps the connection and reads on": (ANSWER, hang),
    "says that it closes and reads on": (LAST_ANSWER, hang),
    "closes with bytes unread": (LAST_ANSWER,),
    "closes with bytes unread after chunks": (IN_CHUNKS,),
    "half-closes": (ANSWER, half_close, wait, hang),
    "half-closes and reads on": (ANSWER, half_close, hang),
    "half-closes where there is no length": (NO_LENGTH, half_close, wait, hang),
    "resets": (ANSWER, reset),
}

each_end = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())


@contextlib.asynccontextmanager
async def early(*end: Step) -> AsyncIterator[tuple[ScriptedWorker, Address, StrictClient]]:
    async with (
        scripted_worker(read_head, *end) as worker,
        single_process_proxy(settings(worker.address)) as proxy,
    ):
        async with strict_client(proxy) as client:
            yield worker, proxy, client
        worker.go_on.set()
        await assert_at_rest(proxy, worker)
        assert await states(proxy) == ["ready"], "it did nothing wrong"


def _is_it(answer: Heard) -> bool:
    return (answer.status, answer.body, answer.headers["x-retries"]) == (413, REASON, "0")


@each_end
async def test_a_client_still_sending_gets_the_early_answer(end: tuple[Step, ...]) -> None:
    async with early(*end) as (_, _, client):
        sending = asyncio.ensure_future(client.send(post(bytes(LARGE))))
        assert _is_it(await client.whole())
        await sending


@each_end
async def test_a_client_that_stops_sending_gets_the_early_answer(end: tuple[Step, ...]) -> None:
    async with early(*end) as (_, _, client):
        await client.send(post(bytes(LARGE))[:100_000])
        assert _is_it(await client.whole())


@each_end
async def test_a_slowly_sending_client_gets_the_early_answer(end: tuple[Step, ...]) -> None:
    """So that there is always something about to be written to a connection that may have ended."""

    async def drops(client: StrictClient) -> None:
        await client.send(post(bytes(LARGE))[:1000])
        for _ in range(300):
            await client.send(bytes(100))
            await asyncio.sleep(0)

    async with early(*end) as (_, _, client):
        sending = asyncio.ensure_future(drops(client))
        assert _is_it(await client.whole())
        await sending


async def test_an_early_answer_survives_a_fast_upload() -> None:
    """All of it is there for the second attempt. The worker that gets it runs beside, and resets anywhere."""
    body = bytes(3_000_000)
    for _ in range(5):
        with canned(http("200 OK", b"early")) as quick:
            async with scripted_worker(read_head, reset) as bad:
                limits = settings(bad.address, quick, replay_bytes=len(body), replay_total_bytes=len(body))
                async with single_process_proxy(limits) as proxy, strict_client(proxy) as client:
                    await client.send(post(body))
                    answer = await client.whole()
                    assert (answer.body, answer.headers["x-retries"]) == (b"early", "1")


async def test_an_early_answer_does_not_wait_for_a_stalled_body() -> None:
    """The rest of the body is read and thrown away, and then comes the next request."""
    async with fake_worker() as other:
        async with scripted_worker(read_head, ANSWER, hang) as worker:
            async with (
                single_process_proxy(settings(worker.address, other)) as proxy,
                strict_client(proxy) as client,
            ):
                body = bytes(100_000)
                request = post(body)
                await client.send(request[:50_000])
                assert _is_it(await client.whole())
                await client.send(request[50_000:])
                await client.send(post(b"the next one"))
                assert (await client.whole()).status == 200
                assert other.seen[0].body == b"the next one"


@pytest.mark.parametrize("status", [429, 503])
async def test_an_early_refusal_resends_the_body_to_another(status: int) -> None:
    answer = b"HTTP/1.1 %d No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % status
    async with scripted_worker(read_head, answer) as busy, fake_worker() as free:
        async with (
            single_process_proxy(settings(busy.address, free)) as proxy,
            strict_client(proxy) as client,
        ):
            body = bytes(range(256)) * 300
            await client.send(post(body))
            answered = await client.whole()
            assert (answered.status, answered.headers["x-retries"]) == (200, "1")
            assert free.seen[0].body == body


async def test_a_client_gone_after_an_early_answer_leaves_nothing() -> None:
    async with early(ANSWER, hang) as (_, proxy, client):
        await client.send(post(bytes(LARGE))[:100_000])
        assert _is_it(await client.whole())
        client.reset()
        await assert_at_rest(proxy)


async def test_an_answer_that_begins_early_and_ends_late_comes_whole() -> None:
    """Its end waits for the end of the body, as that of a worker that answers while it reads."""

    async def rest_of_body(line: Line) -> None:
        await line.reader.readexactly(LARGE)

    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n"
    script = (read_head, head, rest_of_body, b"5\r\nended\r\n0\r\n\r\n", read, ANSWER, hang)
    async with scripted_worker(*script) as worker, single_process_proxy(settings(worker.address)) as proxy:
        async with strict_client(proxy) as client:
            request = post(bytes(LARGE))
            await client.send(request[:1000])
            assert b"begun" in await client.reader.readuntil(b"begun\r\n")
            await client.send(request[1000:])
            assert await client.reader.readuntil(b"\r\n0\r\n\r\n") == b"5\r\nended\r\n0\r\n\r\n"
            await client.send(post(b"x"))
            assert (await client.whole()).status == 413
        assert len(worker.lines) == 1, "the connection could be kept"
