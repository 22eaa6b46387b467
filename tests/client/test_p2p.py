from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tfleet.client import (
    AsyncFleetClient,
    BadImageError,
    BusyError,
    DeadlineExceededError,
    FleetUnavailableError,
    UnexpectedAnswerError,
)
from tfleet.client.p2p import MAX_TRIES

if TYPE_CHECKING:
    from tests.client.conftest import Handler, Scripted, ScriptedFleet


@asynccontextmanager
async def p2p(proxy: Scripted) -> AsyncIterator[AsyncFleetClient]:
    async with AsyncFleetClient(proxy.url, p2p=True, top=3) as client:
        yield client


def label(fleet: ScriptedFleet, name: str) -> Scripted:
    return fleet.server(otherwise=fleet.predictions(name))


async def test_the_proxy_is_asked_and_the_worker_gets_the_image(fleet: ScriptedFleet) -> None:
    worker = label(fleet, "beagle")
    proxy = fleet.server(otherwise=fleet.names(worker.address))
    async with p2p(proxy) as client:
        result = await client.classify(b"BM image")
    assert result.predictions[0].label == "beagle"
    assert [(seen.method, seen.path, seen.body) for seen in proxy.seen] == [("GET", "/worker", b"")]
    assert [(seen.method, seen.path, seen.body) for seen in worker.seen] == [
        ("POST", "/predict?top=3", b"BM image")
    ]
    assert proxy.seen[0].headers["X-Request-Id"] == worker.seen[0].headers["X-Request-Id"]


async def test_each_call_goes_where_the_proxy_says(fleet: ScriptedFleet) -> None:
    one, two = label(fleet, "one"), label(fleet, "two")
    proxy = fleet.server(otherwise=fleet.names(one.address, two.address, one.address, two.address))
    async with p2p(proxy) as client:
        labels = [(await client.classify(b"BM")).predictions[0].label for _ in range(4)]
    assert labels == ["one", "two", "one", "two"]


@pytest.mark.parametrize("fault", ["refused", "reset", "cut_short", "503", "429", "never"])
async def test_a_worker_that_fails_is_replaced_at_once(fleet: ScriptedFleet, nobody: str, fault: str) -> None:
    faults: dict[str, Handler] = {
        "reset": fleet.reset(),
        "cut_short": fleet.cut_short(),
        "503": fleet.problem(503, "leaving", Retry_After="30"),
        "429": fleet.problem(429, "the queue is full", Retry_After="30"),
        "never": fleet.never(),
    }
    bad = nobody if fault == "refused" else fleet.server(otherwise=faults[fault]).address
    proxy = fleet.server(otherwise=fleet.names(bad, label(fleet, "good").address))
    async with AsyncFleetClient(proxy.url, p2p=True, try_timeout_s=0.1) as client:
        found = await client.classify(b"BM")
    assert found.predictions[0].label == "good"
    assert found.retries == 1
    assert found.elapsed_ms < 10_000
    assert [seen.path for seen in proxy.seen] == ["/worker", f"/worker?except=id-of-{bad}"]


async def test_a_worker_that_failed_is_not_asked_again_even_if_the_proxy_names_it(
    fleet: ScriptedFleet,
) -> None:
    bad = fleet.server(otherwise=fleet.reset())
    proxy = fleet.server(otherwise=fleet.text(200, f'{{"address": "{bad.address}"}}'))
    async with p2p(proxy) as client:
        with pytest.raises(FleetUnavailableError, match=bad.address):
            await client.classify(b"BM")
    assert (len(bad.seen), len(proxy.seen)) == (1, 2)


async def test_the_error_names_each_worker_with_its_failure(fleet: ScriptedFleet, nobody: str) -> None:
    leaving = fleet.server(otherwise=fleet.problem(503, "this worker is leaving", Retry_After="0"))
    silent = fleet.server(otherwise=fleet.never())
    proxy = fleet.server(otherwise=fleet.names(nobody, leaving.address, silent.address))
    async with AsyncFleetClient(proxy.url, p2p=True, try_timeout_s=0.1) as client:
        with pytest.raises(FleetUnavailableError) as caught:
            await client.classify(b"BM")
    assert str(caught.value) == (
        f"no worker that {proxy.url} named took the image ({nobody}: connection refused; "
        f"{leaving.address}: this worker is leaving; {silent.address}: nothing moved for 0.1 s)"
    )
    assert (caught.value.status, caught.value.retry_after_s) == (503, 0.0)
    assert caught.value.request_id == proxy.seen[0].headers["X-Request-Id"]


async def test_so_does_the_error_of_a_call_that_ran_out_of_time(fleet: ScriptedFleet, nobody: str) -> None:
    silent = fleet.server(otherwise=fleet.never())
    proxy = fleet.server(otherwise=fleet.names(nobody, silent.address))
    async with AsyncFleetClient(proxy.url, p2p=True, timeout_s=0.2) as client:
        with pytest.raises(DeadlineExceededError) as caught:
            await client.classify(b"BM")
    assert f"({nobody}: connection refused; {silent.address}: no answer yet)" in str(caught.value)


async def test_the_image_is_sent_to_a_few_workers_and_no_more(fleet: ScriptedFleet) -> None:
    leaving = [fleet.server(otherwise=fleet.problem(503, f"worker {n} leaves")) for n in range(MAX_TRIES + 2)]
    proxy = fleet.server(otherwise=fleet.names(*(worker.address for worker in leaving)))
    async with p2p(proxy) as client:
        with pytest.raises(FleetUnavailableError, match=f"worker {MAX_TRIES - 1} leaves"):
            await client.classify(b"BM")
    assert [len(worker.seen) for worker in leaving] == [1] * MAX_TRIES + [0, 0]


async def test_where_only_a_busy_one_is_left_the_call_waits_as_it_was_told(
    fleet: ScriptedFleet, nobody: str
) -> None:
    full = fleet.problem(429, "the queue is full", Retry_After="1")
    worker = fleet.server(full, otherwise=fleet.predictions("after a while"))
    proxy = fleet.server(fleet.names(nobody), otherwise=fleet.names(worker.address))
    async with p2p(proxy) as client:
        found = await client.classify(b"BM")
    assert found.predictions[0].label == "after a while"
    assert found.retries == 2
    assert found.elapsed_ms >= 1000
    assert proxy.seen[-1].path == f"/worker?except=id-of-{nobody}"


async def test_a_call_without_the_time_to_wait_is_told_at_once(fleet: ScriptedFleet) -> None:
    worker = fleet.server(otherwise=fleet.problem(429, "the queue is full", Retry_After="60"))
    proxy = fleet.server(otherwise=fleet.names(worker.address))
    async with p2p(proxy) as client:
        with pytest.raises(BusyError, match="the queue is full") as caught:
            await client.classify(b"BM")
    assert caught.value.retry_after_s == 60.0
    assert len(worker.seen) == 1


async def test_a_fleet_that_stays_busy_is_not_hammered(fleet: ScriptedFleet) -> None:
    worker = fleet.server(otherwise=fleet.problem(429, "the queue is full", Retry_After="0"))
    proxy = fleet.server(otherwise=fleet.names(worker.address))
    async with p2p(proxy) as client:
        with pytest.raises(BusyError):
            await client.classify(b"BM")
    assert len(worker.seen) == MAX_TRIES


async def test_a_stale_connection_to_a_worker_is_not_held_against_it(fleet: ScriptedFleet) -> None:
    worker = fleet.server(fleet.predictions(), fleet.reset(), fleet.predictions("again"))
    proxy = fleet.server(otherwise=fleet.names(worker.address))
    async with p2p(proxy) as client:
        await client.classify(b"BM")
        assert (await client.classify(b"BM")).predictions[0].label == "again"
    assert len(proxy.seen) == 2


async def test_any_other_answer_is_the_answer(fleet: ScriptedFleet) -> None:
    worker = fleet.server(otherwise=fleet.problem(400, "no image"))
    proxy = fleet.server(otherwise=fleet.names(worker.address))
    async with p2p(proxy) as client:
        with pytest.raises(BadImageError, match="no image"):
            await client.classify(b"BM")
    assert len(worker.seen) == 1


async def test_a_proxy_that_cannot_be_reached_is_named(nobody: str) -> None:
    async with AsyncFleetClient(nobody, p2p=True) as client:
        with pytest.raises(FleetUnavailableError, match=f"cannot reach http://{nobody}: connection refused"):
            await client.classify(b"BM")


async def test_a_stranger_instead_of_the_proxy_is_told(fleet: ScriptedFleet) -> None:
    async with p2p(fleet.server(fleet.text(200, "<html>"))) as client:
        with pytest.raises(UnexpectedAnswerError, match="/worker answered 200 OK"):
            await client.classify(b"BM")


async def test_no_worker_is_what_the_proxy_says(fleet: ScriptedFleet) -> None:
    async with p2p(fleet.server(fleet.problem(503, "no worker is ready", Retry_After="1"))) as client:
        with pytest.raises(FleetUnavailableError, match="no worker is ready") as caught:
            await client.classify(b"BM")
    assert caught.value.retry_after_s == 1.0
