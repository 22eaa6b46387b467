from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tfleet.client import (
    AsyncFleetClient,
    BadImageError,
    BusyError,
    FleetUnavailableError,
    UnexpectedAnswerError,
)
from tfleet.client.p2p import MAX_LOOKUPS, MAX_SENDS

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


@pytest.mark.parametrize("fault", ["reset", "cut_short", "503"])
async def test_a_worker_that_fails_before_its_answer_is_replaced(fleet: ScriptedFleet, fault: str) -> None:
    faults: dict[str, Handler] = {
        "reset": fleet.reset(),
        "cut_short": fleet.cut_short(),
        "503": fleet.problem(503, "draining", Retry_After="0"),
    }
    bad, good = fleet.server(otherwise=faults[fault]), label(fleet, "good")
    proxy = fleet.server(otherwise=fleet.names(bad.address, good.address))
    async with p2p(proxy) as client:
        assert (await client.classify(b"BM")).predictions[0].label == "good"
    assert len(bad.seen) == 1


async def test_a_worker_that_is_gone_is_passed_over_while_the_proxy_still_names_it(
    fleet: ScriptedFleet, nobody: str
) -> None:
    good = label(fleet, "good")
    proxy = fleet.server(otherwise=fleet.names(nobody, nobody, nobody, nobody, good.address))
    async with p2p(proxy) as client:
        assert (await client.classify(b"BM")).predictions[0].label == "good"
    assert len(proxy.seen) == 5


async def test_when_only_a_dead_worker_is_named_the_call_ends_and_says_which(
    fleet: ScriptedFleet, nobody: str
) -> None:
    proxy = fleet.server(otherwise=fleet.names(nobody))
    async with p2p(proxy) as client:
        with pytest.raises(FleetUnavailableError, match=rf"\({nobody}: connection refused\)") as caught:
            await client.classify(b"BM")
    assert caught.value.request_id is not None
    assert len(proxy.seen) == MAX_LOOKUPS


async def test_the_image_is_sent_to_a_few_workers_and_no_more(fleet: ScriptedFleet) -> None:
    draining = [
        fleet.server(otherwise=fleet.problem(503, f"draining {n}", Retry_After="0")) for n in range(5)
    ]
    proxy = fleet.server(otherwise=fleet.names(*(worker.address for worker in draining)))
    async with p2p(proxy) as client:
        with pytest.raises(FleetUnavailableError, match="draining 2") as caught:
            await client.classify(b"BM")
    assert caught.value.retry_after_s == 0.0
    assert [len(worker.seen) for worker in draining] == [1] * MAX_SENDS + [0, 0]


async def test_a_stale_connection_to_a_worker_is_not_held_against_it(fleet: ScriptedFleet) -> None:
    worker = fleet.server(fleet.predictions(), fleet.reset(), fleet.predictions("again"))
    proxy = fleet.server(otherwise=fleet.names(worker.address))
    async with p2p(proxy) as client:
        await client.classify(b"BM")
        assert (await client.classify(b"BM")).predictions[0].label == "again"
    assert len(proxy.seen) == 2


@pytest.mark.parametrize(("status", "kind"), [(429, BusyError), (400, BadImageError)])
async def test_any_other_answer_is_the_answer(
    fleet: ScriptedFleet, status: int, kind: type[Exception]
) -> None:
    worker = fleet.server(otherwise=fleet.problem(status, "no", Retry_After="1"))
    proxy = fleet.server(otherwise=fleet.names(worker.address))
    async with p2p(proxy) as client:
        with pytest.raises(kind, match="no"):
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
