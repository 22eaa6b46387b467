"""What the proxy does about workers that fail a request: nothing of it reaches the client."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from tests.proxy.forwarding.test_forwarder import post
from tests.support.fake_worker import FakeWorker, fake_worker, raw_server, settings
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.proxy.server import single_process_proxy

# A proxy and workers for each of many cases: the whole takes seconds.
pytestmark = pytest.mark.process

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

BODY = b"an image " * 1000


async def _whole_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    await reader.readexactly(length)


async def hang_up_in_the_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)


async def hang_up_after_the_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _whole_request(reader)


@contextlib.asynccontextmanager
async def bad_and_good(talk: Talk) -> AsyncIterator[tuple[Address, FakeWorker]]:
    async with raw_server(talk) as bad, fake_worker() as good:
        yield bad, good


async def states(proxy: Address) -> list[str]:
    async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/workers") as answer:
        return [row["state"] for row in (await answer.json())["workers"]]


@pytest.mark.parametrize("status", [503, 429])
async def test_after_429_or_503_another_worker_answers(status: int) -> None:
    async def decline(request: web.Request) -> web.Response:
        return web.Response(status=status)

    async with (
        fake_worker() as busy,
        fake_worker() as free,
        single_process_proxy(settings(busy, free)) as proxy,
    ):
        busy.answer = decline
        answer, _ = await post(proxy, data=BODY)
        assert (answer.status, answer.headers["X-Retries"]) == (200, "1")
        assert free.seen[0].body == BODY


async def test_if_all_decline_the_client_gets_the_last_answer() -> None:
    async def decline(request: web.Request) -> web.Response:
        return web.Response(status=429, text="full", headers={"Retry-After": "7"})

    async with fake_worker() as one, fake_worker() as two, single_process_proxy(settings(one, two)) as proxy:
        one.answer = two.answer = decline
        answer, content = await post(proxy, data=BODY)
        assert (answer.status, content, answer.headers["Retry-After"]) == (429, b"full", "7")
        assert answer.headers["X-Retries"] == "1"


async def test_a_partly_received_body_is_resent_with_the_rest() -> None:
    async with (
        bad_and_good(hang_up_in_the_head) as (bad, good),
        single_process_proxy(settings(bad, good)) as proxy,
    ):
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabc")
        await eventually(lambda: states(proxy), wanted=lambda found: found[0] == "ejected")
        writer.write(b"def")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        assert good.seen[0].body == b"abcdef"


@pytest.mark.parametrize("limits", [{"replay_bytes": 1000}, {"replay_total_bytes": 1000}])
async def test_a_body_that_is_too_large_to_keep_is_sent_once(limits: dict[str, int]) -> None:
    async with bad_and_good(hang_up_after_the_body) as (bad, good):
        async with single_process_proxy(settings(bad, good, **limits)) as proxy:  # type: ignore[arg-type] # each is an int
            answer, content = await post(proxy, data=BODY)
            assert answer.status == 502
            assert str(bad) in json.loads(content)["detail"]
            assert good.seen == []


async def test_without_budget_nothing_is_sent_again() -> None:
    async with bad_and_good(hang_up_after_the_body) as (bad, good):
        async with single_process_proxy(settings(bad, good, retry_floor_per_s=0)) as proxy:
            assert (await post(proxy, data=BODY))[0].status == 502
            assert good.seen == []


async def test_a_stale_connection_ejects_no_worker() -> None:
    """The worker closes after each answer without saying so, just when the next request arrives."""
    served = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await _whole_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        served += 1
        await reader.read(1)  # the next request has begun

    async with raw_server(once) as worker, single_process_proxy(settings(worker)) as proxy:
        for number in range(3):
            answer, content = await post(proxy, data=BODY)
            assert (answer.status, content) == (200, b"ok")
            assert answer.headers["X-Retries"] == ("0" if number == 0 else "1")
        assert served == 3
        assert await states(proxy) == ["ready"]
    async with (
        raw_server(once) as worker,
        single_process_proxy(settings(worker, retry_floor_per_s=0)) as proxy,
    ):
        for _ in range(3):
            assert (await post(proxy, data=BODY))[0].status == 200, "nor is it the retry budget's"


async def test_a_slow_client_does_not_use_up_the_worker_s_time() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker, try_timeout_s=1.0)) as proxy:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabc")
        await asyncio.sleep(1.1)  # longer than a worker may be silent
        writer.write(b"def")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_the_callers_deadline_applies_and_is_forwarded() -> None:
    async def never(request: web.Request) -> web.Response:
        left_ms.append(int(request.headers["X-Request-Timeout-Ms"]))
        await asyncio.Event().wait()
        return web.Response()

    left_ms: list[int] = []
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        worker.answer = never
        answer, _ = await post(proxy, data=b"x", headers={"X-Request-Timeout-Ms": "200"})
        assert answer.status == 504
        assert 0 < left_ms[0] <= 200


@pytest.mark.parametrize("asked", ["soon", "0", "-1", "1.5", "9" * 5000])
async def test_an_invalid_deadline_is_refused(asked: str) -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        answer, content = await post(proxy, data=b"x", headers={"X-Request-Timeout-Ms": asked})
        assert answer.status == 400
        assert "X-Request-Timeout-Ms" in json.loads(content)["detail"]


async def test_a_repeatedly_erroring_worker_is_ejected() -> None:
    async def broken(request: web.Request) -> web.Response:
        return web.Response(status=500)

    async with (
        fake_worker() as bad,
        fake_worker() as good,
        single_process_proxy(settings(bad, good)) as proxy,
    ):
        bad.answer = broken
        found = [(await post(proxy, data=b"x"))[0].status for _ in range(20)]
        assert found.count(500) == 5
        assert await states(proxy) == ["ejected", "ready"]


async def test_at_most_half_are_ejected_for_their_answers() -> None:
    async def broken(request: web.Request) -> web.Response:
        return web.Response(status=500)

    async with fake_worker() as one, fake_worker() as two, single_process_proxy(settings(one, two)) as proxy:
        one.answer = two.answer = broken
        found = [(await post(proxy, data=b"x"))[0].status for _ in range(30)]
        assert set(found) == {500}, "never 503: somebody is always asked"
        assert sorted(await states(proxy)) == ["ejected", "ready"]


async def test_replay_memory_is_returned() -> None:
    async with bad_and_good(hang_up_after_the_body) as (bad, good):
        limits = settings(bad, good, replay_bytes=len(BODY), replay_total_bytes=len(BODY))
        async with single_process_proxy(limits) as proxy:
            for _ in range(5):
                assert (await post(proxy, data=BODY))[0].status == 200


async def test_workers_that_were_all_too_late_still_get_requests() -> None:
    """It may be that they, or the proxy, had too much to do: nobody is served by sending everybody away."""
    asked = 0

    async def late_at_first(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked <= 3:
            await asyncio.sleep(3600)
        return web.Response(text="here")

    async with fake_worker() as worker, single_process_proxy(settings(worker, try_timeout_s=0.2)) as proxy:
        worker.answer = late_at_first
        async with aiohttp.ClientSession() as session:
            for body in (b"1", b"2", b"3"):  # the third one ejects it
                async with session.post(proxy.url, data=body) as answer:
                    assert answer.status == 502
            async with session.post(proxy.url, data=b"4") as answer:
                assert (answer.status, await answer.text()) == (200, "here")


async def test_short_deadlines_find_a_silent_worker() -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    async with (
        fake_worker() as bad,
        fake_worker() as good,
        single_process_proxy(settings(bad, good)) as proxy,
    ):
        bad.answer, bad.ready = silent, False
        async with aiohttp.ClientSession() as session:

            async def ask() -> list[str]:
                headers = {"X-Request-Timeout-Ms": "200"}
                async with session.post(proxy.url, data=b"x", headers=headers):
                    return await states(proxy)

            await eventually(ask, wanted=["draining", "ready"].__eq__)


async def test_without_budget_a_full_worker_s_answer_is_the_answer() -> None:
    async def decline(request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "7"})

    async with fake_worker() as full, fake_worker() as other:
        async with single_process_proxy(settings(full, other, retry_floor_per_s=0)) as proxy:
            full.answer = decline
            answer, _ = await post(proxy, data=BODY)
            assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
            assert other.seen == []


@pytest.mark.parametrize("status", [200, 429])
async def test_a_worker_busy_with_others_is_asked_once_a_second(status: int) -> None:
    """Nothing is in flight here when a request comes, so only the worker's word can be the reason."""
    asked_s: list[float] = []

    async def busy(request: web.Request) -> web.Response:
        await request.read()
        asked_s.append(asyncio.get_running_loop().time())
        return web.Response(status=status, headers={"X-Queue-Length": "9"})

    async with fake_worker() as one, fake_worker() as two:
        async with single_process_proxy(settings(one, two, balance="least-request")) as proxy:
            one.answer = busy
            for _ in range(50):
                assert (await post(proxy, data=b"x"))[0].status == 200
            assert asked_s
            assert all(later - before >= 1 for before, later in itertools.pairwise(asked_s))
