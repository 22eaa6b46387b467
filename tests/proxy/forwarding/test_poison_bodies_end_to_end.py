"""A body that makes whoever gets it crash or hang reaches two workers, and takes nobody out of routing."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, MutableMapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.fake_worker import fake_worker, settings
from tests.support.proxy_invariants import metric, states
from tests.support.scripted_worker import (
    Line,
    ScriptedWorker,
    Step,
    hang,
    read,
    read_head,
    reset,
    reset_connection,
    scripted_worker,
    take_little,
)
from tests.support.strict_client import StrictClient, post, post_chunked, strict_client
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.proxy.server import single_process_proxy

pytestmark = pytest.mark.process

POISON = b"poison " * 1000
ABC = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


async def close(line: Line) -> None:
    line.writer.close()


def answers_all_but_poison(end: Step) -> Step:
    """Answers one request after the other; for a poisoned one the `end` is all that comes."""

    async def serve(line: Line) -> None:
        assert not isinstance(end, bytes)
        while True:
            await read(line)
            if b"poison" in line.worker.requests[-1].body:
                await end(line)
                return
            line.writer.write(ABC)

    return serve


@contextlib.asynccontextmanager
async def workers(count: int, *script: Step) -> AsyncIterator[list[ScriptedWorker]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(scripted_worker(*script)) for _ in range(count)]


def addresses(found: list[ScriptedWorker]) -> list[Address]:
    return [worker.address for worker in found]


def reached(found: list[ScriptedWorker]) -> list[int]:
    """How many poisoned requests each of them has had, the most first."""
    counts = [sum(b"poison" in request.body for request in worker.requests) for worker in found]
    return sorted(counts, reverse=True)


def form(boundary: str, image: bytes = POISON) -> bytes:
    """A form in the way of curl, which draws a new boundary each time."""
    part = b'Content-Disposition: form-data; name="image"; filename="a.gif"\r\n\r\n' + image
    body = b"--%b\r\n%b\r\n--%b--\r\n" % (boundary.encode(), part, boundary.encode())
    return post(body, f"Content-Type: multipart/form-data; boundary={boundary}")


def ejected(logs: Sequence[MutableMapping[str, Any]]) -> list[tuple[str, str]]:
    """Who was, and why."""
    return [(line["worker"], line["error"]) for line in logs if line["event"] == "worker ejected"]


async def status(client: StrictClient, request: bytes) -> int:
    await client.send(request)
    return (await client.whole()).status


ENDS = {"resets": (reset, 10.0), "closes": (close, 10.0), "never answers": (hang, 0.3)}
each_end = pytest.mark.parametrize(("end", "try_timeout_s"), ENDS.values(), ids=ENDS.keys())


@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
@each_end
async def test_a_poison_body_reaches_two_of_five_workers(end: Step, try_timeout_s: float, kept: bool) -> None:
    async with workers(5, answers_all_but_poison(end)) as found:
        limits = settings(*addresses(found), try_timeout_s=try_timeout_s)
        async with single_process_proxy(limits) as proxy, strict_client(proxy) as client:
            for _ in found if kept else ():
                assert await status(client, post(b"good")) == 200
            with capture_logs() as logs:
                await client.send(form("xx"))
                answer = await client.whole()
                assert answer.status == 502
                assert "workers fail on this body" in answer.problem()["detail"]
                assert sum(str(each) in answer.problem()["detail"] for each in addresses(found)) == 2
                assert reached(found) == [1, 1, 0, 0, 0]
                assert await status(client, form("yyyy")) == 502
                assert reached(found) in ([1, 1, 1, 0, 0], [2, 1, 0, 0, 0])
            told = [line for line in logs if line["event"].startswith("workers fail on this body")]
            assert [len(line["failures"]) for line in told] == [2, 1]
            assert len({line["body"] for line in told}) == 1
            assert len(told[0]["body"]) == 12
            assert await metric(proxy, "tfleet_proxy_poison_bodies_total") == 2
            assert await states(proxy) == ["ready"] * 5
            assert ejected(logs) == []
            for _ in found:
                assert await status(client, form("zz", b"another image")) == 200
            assert await states(proxy) == ["ready"] * 5


async def test_a_body_in_chunks_is_known_again() -> None:
    async with workers(3, read, reset) as found, single_process_proxy(settings(*addresses(found))) as proxy:
        async with strict_client(proxy) as client:
            assert await status(client, post_chunked(POISON[:999], POISON[999:])) == 502
            assert await status(client, post(POISON)) == 502
        assert sum(reached(found)) == 3


async def test_a_body_that_one_worker_fails_on_is_answered_by_another() -> None:
    """That was the worker, or too little memory: nothing is remembered."""
    async with workers(1, read, reset) as bad, workers(1, read, ABC) as good:
        async with (
            single_process_proxy(settings(*addresses(bad + good))) as proxy,
            strict_client(proxy) as client,
        ):
            for _ in range(3):
                assert await status(client, post(POISON)) == 200
        assert (reached(bad), reached(good)) == ([3], [3])


DECLINED = b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "script"),
    [
        (POISON, (read, DECLINED % 429)),
        (POISON, (read, DECLINED % 503)),
        (POISON * 3000, (take_little, read_head, reset)),
    ],
    ids=["429", "503", "ends before the system has taken all of it"],
)
async def test_failures_before_the_body_do_not_count(body: bytes, script: tuple[Step, ...]) -> None:
    async with workers(3, *script) as bad, workers(1, read, ABC) as good:
        limits = settings(
            *addresses(bad + good),
            max_body_bytes=len(body),
            replay_bytes=len(body),
            replay_total_bytes=len(body),
        )
        async with single_process_proxy(limits) as proxy, strict_client(proxy) as client:
            await client.send(post(body))
            answer = await client.whole()
            assert (answer.status, answer.headers["x-retries"] >= "2") == (200, True)
            assert await metric(proxy, "tfleet_proxy_poison_bodies_total") == 0


async def test_a_refused_connection_does_not_count() -> None:
    async with contextlib.AsyncExitStack() as leaving, workers(1, read, reset) as bad:
        gone = await leaving.enter_async_context(scripted_worker())
        async with workers(1, read, ABC) as good:
            limits = settings(*addresses([*bad, gone, *good]))
            async with single_process_proxy(limits) as proxy, strict_client(proxy) as client:
                await leaving.aclose()
                await client.send(post(POISON))
                answer = await client.whole()
                assert (answer.status, answer.headers["x-retries"]) == (200, "2")
                assert await states(proxy) == ["ready", "ejected", "ready"]


async def test_an_unbuffered_body_is_sent_once_and_ejects_none() -> None:
    async with workers(3, read, reset) as found:
        limits = settings(*addresses(found), replay_bytes=1000)
        async with single_process_proxy(limits) as proxy, strict_client(proxy) as client:
            for number in range(1, 7):
                assert await status(client, post(POISON)) == 502
                assert sum(reached(found)) == number
            assert await states(proxy) == ["ready"] * 3


@each_end
async def test_three_different_failed_bodies_eject_a_worker(end: Step, try_timeout_s: float) -> None:
    async with workers(1, read, end) as bad, workers(1, answers_all_but_poison(end)) as good:
        limits = settings(*addresses(bad + good), try_timeout_s=try_timeout_s)
        async with single_process_proxy(limits) as proxy, strict_client(proxy) as client:
            with capture_logs() as logs:  # a probe soon brings it back: what is looked at later is no proof
                for number in range(3):
                    assert ejected(logs) == []
                    while len(bad[0].requests) == number:
                        assert await status(client, post(b"%d" % number)) == 200
            ((worker, error),) = ejected(logs)
            assert worker == str(bad[0].address)
            assert error.endswith(", for 3 different bodies in a row")
            assert await metric(proxy, "tfleet_proxy_poison_bodies_total") == 0


@each_end
async def test_one_repeated_body_ejects_no_worker(end: Step, try_timeout_s: float) -> None:
    async with workers(1, read, end) as bad, workers(1, read, ABC) as good:
        limits = settings(*addresses(bad + good), try_timeout_s=try_timeout_s)
        async with single_process_proxy(limits) as proxy, strict_client(proxy) as client:
            while len(bad[0].requests) < 4:
                assert await status(client, post(POISON)) == 200
            assert await states(proxy) == ["ready", "ready"]


async def test_an_answer_resets_the_count_of_failed_bodies() -> None:
    async with workers(1, answers_all_but_poison(reset)) as bad, workers(1, read, ABC) as good:
        async with (
            single_process_proxy(settings(*addresses(bad + good))) as proxy,
            strict_client(proxy) as client,
        ):
            for number in range(6):  # the next worker changes with each attempt
                assert await status(client, post(POISON + b"%d" % number)) == 200
                for _ in range(2):
                    assert await status(client, post(b"good")) == 200
            assert reached(bad) == [6]
            assert await states(proxy) == ["ready", "ready"]


async def test_workers_that_are_all_ejected_still_get_requests() -> None:
    async with workers(2, answers_all_but_poison(reset)) as found:
        async with single_process_proxy(settings(*addresses(found))) as proxy, strict_client(proxy) as client:
            with capture_logs() as logs:
                for number in range(3):
                    assert await status(client, post(POISON + b"%d" % number)) == 502
                assert await status(client, post(b"good")) == 200
            assert {worker for worker, _ in ejected(logs)} == set(map(str, addresses(found)))


@pytest.mark.process
async def test_a_hanging_worker_is_ejected_within_two_seconds() -> None:
    async with (
        fake_worker() as bad,
        fake_worker() as good,
        single_process_proxy(settings(bad, good)) as proxy,
    ):
        bad.hung = True
        began_s = time.monotonic()
        async with strict_client(proxy) as client:
            assert await status(client, post(b"one")) == 200
            assert await status(client, post(b"two")) == 200
        assert 1 < time.monotonic() - began_s < 4
        assert await states(proxy) == ["ejected", "ready"]


@pytest.mark.process
async def test_a_worker_that_is_gone_is_ejected_at_once() -> None:
    """Nobody else need find out that it can't be reached: it is probed at once."""

    async def end_at_the_first_image(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readline()).startswith(b"GET /readyz"):
            writer.write(DECLINED % 200)
            await reader.read()
        else:
            await reader.readuntil(b"one")
            server.close()
            reset_connection(writer)
        writer.close()

    server = await asyncio.start_server(end_at_the_first_image, "127.0.0.1", 0)
    async with server, fake_worker() as good:
        gone = Address(*server.sockets[0].getsockname())
        async with single_process_proxy(settings(gone, good)) as proxy, strict_client(proxy) as client:
            assert await status(client, post(b"one")) == 200
            await eventually(lambda: states(proxy), wanted=["ejected", "ready"].__eq__, timeout_s=1.0)
