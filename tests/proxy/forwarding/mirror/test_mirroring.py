"""Copies of requests go to the canary: counted, within limits, and nobody waits for them."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from tests.support.mirroring import OUTPUTS, MirroringProxy, answers, mirroring_proxy
from tests.support.scripted_worker import read, reset, reset_connection, scripted_worker
from tests.support.waiting import eventually
from tfleet.discovery.plan import Canary, Plan
from tfleet.proxy.forwarding.mirror.compare import MAX_COMPARED_BYTES
from tfleet.proxy.forwarding.mirror.traffic import MAX_IN_FLIGHT

SHADOW = Canary("2", 0.0, mirror=100.0)


async def served_by_stable(proxy: MirroringProxy, requests: int, data: bytes = b"{}") -> None:
    """Send requests one after the other: all are answered by the stable version."""
    for _ in range(requests):
        answer = await proxy.post(data=data)
        assert (answer.status, answer.headers["X-Worker"]) == (200, "w1")


async def test_copies_are_compared_and_counted() -> None:
    async with mirroring_proxy(SHADOW) as proxy:
        await served_by_stable(proxy, 2)
        assert await proxy.counted(2) == {"agreed": 2}
        answers(proxy.canary, b'{"success":true,"outputs":{"y":[1.25,2.5]}}')
        await served_by_stable(proxy, 1)
        assert await proxy.counted(3) == {"agreed": 2, "measured": 1, "largest_difference": 0.25}
        assert len(proxy.stable.ids) == 3
        assert proxy.canary.ids == [f"{name}-mirror" for name in proxy.stable.ids]


async def test_a_share_of_the_requests_is_mirrored() -> None:
    async with mirroring_proxy(Canary("2", 0.0, mirror=25.0)) as proxy:
        await served_by_stable(proxy, 8)
        await proxy.counted(2)
        assert len(proxy.canary.ids) == 2


async def test_requests_of_the_canary_are_not_mirrored() -> None:
    async with mirroring_proxy(Canary("2", 50.0, mirror=100.0)) as proxy:
        for _ in range(10):
            assert (await proxy.post()).status == 200
        assert await proxy.counted(5) == {"agreed": 5}
        assert [name.endswith("-mirror") for name in proxy.canary.ids].count(True) == 5
        assert (len(proxy.stable.ids), len(proxy.canary.ids)) == (5, 10)


async def test_what_names_a_version_is_not_mirrored() -> None:
    async with mirroring_proxy(SHADOW) as proxy:
        for path in ("/models/m/versions/1/predict", "/models/m/labels/stable"):
            assert (await proxy.post(path)).status == 200
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{proxy.address.url}/models/m") as page:
                assert page.status == 200
        await proxy.post("/models/m/predict")
        assert await proxy.counted(1) == {"agreed": 1}
        assert len(proxy.canary.ids) == 1


async def test_a_prediction_by_its_query_is_mirrored() -> None:
    async with mirroring_proxy(SHADOW) as proxy, aiohttp.ClientSession() as session:
        async with session.get(f"{proxy.address.url}/predict?x=1.5") as answer:
            assert (answer.status, answer.headers["X-Worker"]) == (200, "w1")
        assert await proxy.counted(1) == {"agreed": 1}
        async with session.head(f"{proxy.address.url}/predict?x=1.5") as answer:
            assert answer.status == 200
        await served_by_stable(proxy, 1)
        assert await proxy.counted(2) == {"agreed": 2}, "HEAD has no answer to compare"


@pytest.mark.parametrize(
    ("redirect_all", "said"),
    [(False, "only requests below /v1 and /v2 are mirrored"), (True, "requests are not mirrored")],
)
async def test_a_proxy_in_p2p_mode_says_what_it_mirrors(redirect_all: bool, said: str) -> None:
    with capture_logs() as logs:
        async with mirroring_proxy(SHADOW, mode="p2p", redirect_all=redirect_all) as proxy:
            assert (await proxy.model())["mirrored"] is None
    (warning,) = [one for one in logs if one["event"].startswith(said)]
    assert (warning["log_level"], warning["model"], warning["mirror"]) == ("warning", "m", 100.0)


async def test_a_canary_that_hangs_delays_nobody() -> None:
    async with mirroring_proxy(SHADOW) as proxy:
        proxy.canary.answer = _for_ever
        began_s = time.monotonic()
        await served_by_stable(proxy, MAX_IN_FLIGHT + 4)
        assert time.monotonic() - began_s < 5, "a try may take 10 s"
        assert await proxy.counted(4) == {"skipped": 4}


async def _for_ever(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.process
async def test_a_copy_has_the_time_of_one_try() -> None:
    async with mirroring_proxy(SHADOW, try_timeout_s=0.2) as proxy:
        proxy.canary.answer = _for_ever
        await served_by_stable(proxy, 1)
        assert await proxy.counted(1) == {"failed": 1}


async def test_a_canary_that_breaks_off_fails() -> None:
    async with scripted_worker(read, reset) as broken:
        async with mirroring_proxy(SHADOW, canary_address=broken.address) as proxy:
            await served_by_stable(proxy, 2)
            assert await proxy.counted(2) == {"failed": 2}


async def test_a_kept_connection_that_ended_is_no_failure() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(OUTPUTS)
    # Each connection takes two requests, and answers the first one.
    async with scripted_worker(read, head + OUTPUTS, read) as worker:
        async with mirroring_proxy(SHADOW, canary_address=worker.address) as proxy:
            for requests in (1, 2):
                await served_by_stable(proxy, 1)
                assert await proxy.counted(requests) == {"agreed": requests}
            assert [request.connection for request in worker.requests] == [0, 0, 1]


@pytest.mark.parametrize(("status", "sent"), [(429, 3), (503, 1)])
async def test_a_busy_canary_is_skipped(status: int, sent: int) -> None:
    """With 503 it is not ready, so it is sent nothing more until a probe finds it ready."""
    async with mirroring_proxy(SHADOW) as proxy:
        answers(proxy.canary, b"{}", status=status)
        proxy.canary.ready = status != 503
        for requests in (1, 2, 3):
            await served_by_stable(proxy, 1)
            assert await proxy.counted(requests) == {"skipped": requests}
        assert len(proxy.canary.ids) == sent


async def test_a_refusal_of_the_canary_differs() -> None:
    async with mirroring_proxy(SHADOW) as proxy:
        answers(proxy.canary, b"{}", status=400)
        await served_by_stable(proxy, 1)
        assert await proxy.counted(1) == {"differed": 1}


async def test_what_the_stable_version_refuses_is_not_mirrored() -> None:
    async with mirroring_proxy(SHADOW) as proxy:
        answers(proxy.stable, b"{}", status=400)
        assert (await proxy.post()).status == 400
        answers(proxy.stable, b"{}")
        await served_by_stable(proxy, 1)
        await proxy.counted(1)
        assert len(proxy.canary.ids) == 1


@pytest.mark.parametrize("body_bytes", [100_001, 10])
async def test_beyond_a_limit_nothing_is_sent(body_bytes: int) -> None:
    """Of a body over --replay-bytes nothing is left to send; of a long answer nothing is compared."""
    async with mirroring_proxy(SHADOW) as proxy:
        if body_bytes < 100:
            answers(proxy.stable, b"x" * (MAX_COMPARED_BYTES + 1))
        await served_by_stable(proxy, 1, b"x" * body_bytes)
        assert await proxy.counted(1) == {"skipped": 1}
        assert proxy.canary.ids == []


async def test_a_long_answer_of_the_canary_is_skipped() -> None:
    async with mirroring_proxy(SHADOW) as proxy:
        answers(proxy.canary, b"x" * (MAX_COMPARED_BYTES + 1))
        await served_by_stable(proxy, 1)
        assert await proxy.counted(1) == {"skipped": 1}


async def test_a_stateful_model_gets_no_copy() -> None:
    async with mirroring_proxy(SHADOW, stateful="true") as proxy:
        await served_by_stable(proxy, 2)
        assert await proxy.counted(2) == {"skipped": 2}
        assert proxy.canary.ids == []


async def test_a_client_that_left_gets_no_copy() -> None:
    async with mirroring_proxy(SHADOW) as proxy:
        begun = asyncio.Event()

        async def never_ends(request: web.Request) -> web.StreamResponse:
            await request.read()
            response = web.StreamResponse(headers={"X-Worker": proxy.stable.name})
            await response.prepare(request)
            await response.write(b"beginning")
            begun.set()
            return await _for_ever(request)

        proxy.stable.answer = never_ends
        _, writer = await asyncio.open_connection(proxy.address.host, proxy.address.port)
        writer.write(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        await begun.wait()
        reset_connection(writer)
        await eventually(lambda: _in_flight(proxy), wanted=lambda number: number == 0)
        answers(proxy.stable, b"{}")
        await served_by_stable(proxy, 1)
        await proxy.counted(1)
        assert len(proxy.canary.ids) == 1, "only the second request's"


async def _in_flight(proxy: MirroringProxy) -> int:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{proxy.address.url}/workers") as answer:
            return sum(row["in_flight"] for row in (await answer.json())["workers"])


async def test_another_canary_is_counted_from_0() -> None:
    async with mirroring_proxy(SHADOW) as proxy:
        await served_by_stable(proxy, 2)
        await proxy.counted(2)
        await proxy.plan(Plan("1"))
        assert (await proxy.model())["mirrored"] is None
        await proxy.plan(Plan("1", SHADOW))
        await served_by_stable(proxy, 1)
        assert await proxy.counted(1) == {"agreed": 1}


@pytest.mark.process
async def test_a_canary_that_fails_on_copies_is_rolled_back() -> None:
    async with mirroring_proxy(SHADOW) as proxy:

        async def send_more() -> str:
            # Five errors in a row would have the worker ejected, and nothing more would be sent.
            for status, requests in ((500, 2), (200, 1)):
                answers(proxy.canary, b"{}", status=status)
                await served_by_stable(proxy, requests)
                await eventually(lambda: _in_flight(proxy), wanted=lambda number: number == 0)
            found: str = (await proxy.model())["plan"]["reason"]
            return found

        assert "tries failed" in await eventually(send_more, wanted=bool)


async def test_the_metrics_have_the_results() -> None:
    async with mirroring_proxy(SHADOW) as proxy:
        await served_by_stable(proxy, 2)
        await proxy.counted(2)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{proxy.address.url}/metrics") as answer:
                lines = (await answer.text()).splitlines()
        assert 'tfleet_proxy_mirrored_total{model="m",result="agreed",version="2"} 2.0' in lines
        assert 'tfleet_proxy_mirror_largest_difference{model="m",version="2"} 0.0' in lines
        assert 'tfleet_proxy_tries_total{model="m",result="answered",version="2"} 2.0' in lines


async def test_predictions_of_other_protocols_are_mirrored() -> None:
    for path, outputs in (
        ("/v1/models/m:predict", b'{"predictions":[2.5]}'),
        ("/v2/models/m/infer", b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[2.5]}]}'),
    ):
        async with mirroring_proxy(SHADOW) as proxy:
            answers(proxy.stable, outputs)
            answers(proxy.canary, outputs)
            assert (await proxy.post(path)).status == 200
            assert await proxy.counted(1) == {"agreed": 1}
