from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tfleet.client import (
    AsyncFleetClient,
    BadImageError,
    BadProxyError,
    DeadlineExceededError,
    FleetUnavailableError,
    Prediction,
    Timing,
    UnexpectedAnswerError,
    WorkerFailedError,
)

if TYPE_CHECKING:
    from aiohttp import web

    from tests.client.conftest import ScriptedFleet


async def test_a_photograph_is_classified(fleet: ScriptedFleet, photo: Path) -> None:
    proxy = fleet.server()
    async with AsyncFleetClient(proxy.url, top=2) as client:
        result = await client.classify(photo)
    assert result.predictions == (Prediction("tabby", 0.75), Prediction("tiger cat", 0.125))
    assert (result.worker, result.model) == ("tfleet-w1", "lite0/1")
    assert result.timing == Timing(2.1, 0.0, 8.3)
    assert 0 < result.elapsed_ms < 30_000
    (seen,) = proxy.seen
    assert seen.path == "/predict?top=2"
    assert seen.headers["Content-Type"] == "image/jpeg"
    assert seen.headers["X-Request-Id"] == result.request_id
    assert 0 < int(seen.headers["X-Request-Timeout-Ms"]) <= 30_000


async def test_a_calls_top_overrides_the_clients(fleet: ScriptedFleet) -> None:
    proxy = fleet.server()
    async with AsyncFleetClient(proxy.url, top=2) as client:
        await client.classify(b"BM", top=7)
    assert proxy.seen[0].path == "/predict?top=7"


async def test_each_call_has_an_id_of_its_own(fleet: ScriptedFleet) -> None:
    async with AsyncFleetClient(fleet.server().url) as client:
        ids = {(await client.classify(io.BytesIO(b"BM"))).request_id for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("p2p", [False, True])
async def test_a_call_ends_with_its_time(fleet: ScriptedFleet, p2p: bool) -> None:
    proxy = fleet.server(otherwise=fleet.never())
    async with AsyncFleetClient(proxy.url, p2p=p2p, timeout_s=0.1) as client:
        with pytest.raises(DeadlineExceededError, match=f"no answer from {proxy.url} in 0.1 s") as caught:
            await client.classify(b"BM")
    assert caught.value.status is None
    assert caught.value.request_id is not None


async def test_the_deadline_is_sent_to_the_fleet(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(fleet.problem(504, "too late"))
    async with AsyncFleetClient(proxy.url, timeout_s=7) as client:
        with pytest.raises(DeadlineExceededError, match="too late") as caught:
            await client.classify(b"BM")
    assert 0 < int(proxy.seen[0].headers["X-Request-Timeout-Ms"]) <= 7000
    assert caught.value.request_id == proxy.seen[0].headers["X-Request-Id"]


async def test_another_server_on_the_port_is_reported(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(fleet.text(200, "<h1>It works!</h1>"))
    async with AsyncFleetClient(proxy.url) as client:
        with pytest.raises(UnexpectedAnswerError, match=r"answered 200 OK \(text/html\)"):
            await client.classify(b"BM")


async def test_a_bad_images_message_is_the_fleets(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(fleet.problem(415, "this is text, not an image"))
    async with AsyncFleetClient(proxy.url) as client:
        with pytest.raises(BadImageError, match=r"^the bytes: this is text, not an image$") as caught:
            await client.classify(b"hello")
    assert caught.value.status == 415


async def test_a_bad_image_is_named_where_it_has_a_name(fleet: ScriptedFleet, tmp_path: Path) -> None:
    missing, notes = tmp_path / "nope.jpg", tmp_path / "notes.txt"
    await asyncio.to_thread(notes.write_text, "hello")
    async with AsyncFleetClient(fleet.server(fleet.problem(415, "this is text")).url) as client:
        with pytest.raises(BadImageError, match=f"^{missing}: no such file or directory$"):
            await client.classify(missing)
        with pytest.raises(BadImageError, match=f"^{notes}: this is text$") as caught:
            await client.classify(str(notes))
        assert caught.value.status == 415
        outcome = await client.outcome(missing)
    assert str(outcome.error) == "no such file or directory", "its source stands beside it"


async def test_https_to_an_http_port_is_reported(fleet: ScriptedFleet) -> None:
    proxy = fleet.server()
    async with AsyncFleetClient(f"https://{proxy.address}") as client:
        told = f"^https://{proxy.address} speaks http, not https: use http://{proxy.address}$"
        with pytest.raises(UnexpectedAnswerError, match=told):
            await client.classify(b"BM")


async def test_many_images_have_ordered_outcomes_and_failures(
    fleet: ScriptedFleet, photos: list[Path], tmp_path: Path
) -> None:
    sizes = {photo.stat().st_size: photo.name for photo in photos}

    async def by_size(request: web.Request) -> web.StreamResponse:
        return await fleet.predictions(sizes[int(request.headers["Content-Length"])])(request)

    sources = [*photos, tmp_path / "missing.jpg", *reversed(photos)]
    async with AsyncFleetClient(fleet.server(otherwise=by_size).url) as client:
        outcomes = [outcome async for outcome in client.classify_many(sources, concurrency=3)]
    assert [outcome.source for outcome in outcomes] == sources
    for outcome in outcomes:
        if outcome.source.name == "missing.jpg":
            assert isinstance(outcome.error, BadImageError)
            assert outcome.classification is None
        else:
            assert outcome.result().predictions[0].label == outcome.source.name


@pytest.mark.parametrize("kind", ["generator", "async generator"])
async def test_the_sources_may_be_endless(fleet: ScriptedFleet, kind: str) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"BM"

    async def endless_async() -> AsyncIterator[bytes]:
        while True:
            yield b"BM"

    proxy = fleet.server()
    async with AsyncFleetClient(proxy.url) as client:
        many = client.classify_many(endless() if kind == "generator" else endless_async(), concurrency=2)
        async with aclosing(many) as outcomes:
            for _ in range(5):
                assert (await anext(outcomes)).error is None
    assert len(proxy.seen) < 20


async def test_a_wrong_type_is_raised_and_no_outcome(fleet: ScriptedFleet) -> None:
    sources: list[Any] = [b"BM", 7]
    async with AsyncFleetClient(fleet.server().url) as client:
        many = client.classify_many(sources)
        assert (await anext(many)).error is None
        with pytest.raises(TypeError, match="not int"):
            await anext(many)


@pytest.mark.parametrize("source", ["cat.jpg", b"BM", bytearray(b"BM"), memoryview(b"BM")])
async def test_a_single_source_is_not_iterated(source: Any) -> None:
    with pytest.raises(TypeError, match="put a single one into a list"):
        AsyncFleetClient().classify_many(source)


async def test_workers_lists_the_proxys_workers(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(otherwise=fleet.workers({"id": "w1", "address": "a:1", "state": "ready", "new": 1}))
    async with AsyncFleetClient(proxy.url) as client:
        (worker,) = await client.workers()
        document = await client.workers_document()
    assert (worker.id, worker.state) == ("w1", "ready")
    assert document["workers"][0]["new"] == 1
    assert (proxy.seen[0].method, proxy.seen[0].path) == ("GET", "/workers")


async def test_a_worker_s_metrics_come_from_the_proxy(fleet: ScriptedFleet) -> None:
    page, lost = fleet.text(200, "a_metric 1.0\n", "text/plain"), fleet.problem(502, "worker w/1 is silent")
    proxy = fleet.server(page, lost)
    async with AsyncFleetClient(proxy.url) as client:
        assert await client.worker_metrics("w/1") == "a_metric 1.0\n"
        with pytest.raises(WorkerFailedError, match="worker w/1 is silent"):
            await client.worker_metrics("w/1")
    assert proxy.seen[0].path == "/workers/w%2F1/metrics"


async def test_workers_fails_as_classify_does(fleet: ScriptedFleet, nobody: str) -> None:
    async with AsyncFleetClient(nobody) as client:
        with pytest.raises(FleetUnavailableError, match="connection refused"):
            await client.workers()
    async with AsyncFleetClient(fleet.server(fleet.never()).url, timeout_s=0.1) as client:
        with pytest.raises(DeadlineExceededError, match=r"in 0\.1 s"):
            await client.workers()


@pytest.mark.parametrize(
    "arguments",
    [
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
        {"connect_timeout_s": -1},
        {"try_timeout_s": 0},
        {"top": 0},
        {"max_connections": 0},
        {"balance": "random"},
    ],
)
def test_a_number_out_of_range_is_refused_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"above 0|at least 1|must be one of round-robin, least-in-flight"):
        AsyncFleetClient(**arguments)


async def test_a_call_checks_its_numbers_too() -> None:
    client = AsyncFleetClient()
    with pytest.raises(ValueError, match="top is 0"):
        await client.classify(b"BM", top=0)
    with pytest.raises(ValueError, match="concurrency is 0"):
        client.classify_many([], concurrency=0)


def test_a_proxy_that_is_no_address_is_refused_at_once() -> None:
    with pytest.raises(BadProxyError):
        AsyncFleetClient("not an address")


async def test_closing_in_the_middle_leaves_nothing_behind(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(otherwise=fleet.never())
    client = AsyncFleetClient(proxy.url, p2p=True)
    call = asyncio.create_task(client.classify(b"BM"))
    await asyncio.to_thread(proxy.wait_for, 1)
    await client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        await call
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_repr_shows_the_proxy_and_whether_it_is_closed(fleet: ScriptedFleet) -> None:
    client = AsyncFleetClient("gpu-box", p2p=True)
    assert client.proxy == "http://gpu-box:12480"
    assert repr(client) == (
        "<AsyncFleetClient http://gpu-box:12480 PeerToPeer <Transport unused, at most 100 connections>>"
    )
    await client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        await client.classify(b"BM")


async def test_calls_share_the_connections_up_to_the_limit(fleet: ScriptedFleet) -> None:
    proxy = fleet.server()
    async with AsyncFleetClient(proxy.url, max_connections=2) as client:
        await asyncio.gather(*(client.classify(b"BM") for _ in range(20)))
    assert len({seen.peer for seen in proxy.seen}) <= 2
