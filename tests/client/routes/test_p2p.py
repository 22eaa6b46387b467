from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.client.routes.p2p_client import p2p
from tests.support.waiting import eventually
from tfleet.client import (
    AsyncFleetClient,
    BadImageError,
    BusyError,
    DeadlineExceededError,
    FleetUnavailableError,
    UnexpectedAnswerError,
)
from tfleet.client.routes.p2p import MAX_ATTEMPTS

if TYPE_CHECKING:
    from tests.client.conftest import Handler, ScriptedFleet
    from tfleet.client import Classification
    from tfleet.client.routes.lease import Balance


async def test_the_proxy_is_asked_and_the_worker_gets_the_image(fleet: ScriptedFleet) -> None:
    worker = fleet.server(otherwise=fleet.predictions("beagle"))
    proxy = fleet.server(otherwise=fleet.names(worker.address))
    async with p2p(proxy) as client:
        result = await client.classify(b"BM image")
    assert result.predictions[0].label == "beagle"
    assert [(seen.method, seen.path, seen.body) for seen in proxy.seen] == [("GET", "/worker?n=64", b"")]
    assert [(seen.method, seen.path, seen.body) for seen in worker.seen] == [
        ("POST", "/predict?top=3", b"BM image")
    ]
    assert proxy.seen[0].headers["X-Request-Id"] == worker.seen[0].headers["X-Request-Id"]


async def test_one_lookup_serves_many_images_evenly(fleet: ScriptedFleet) -> None:
    workers = [fleet.server() for _ in range(3)]
    proxy = fleet.server(otherwise=fleet.leases(*(worker.address for worker in workers)))
    async with p2p(proxy) as client:
        for _ in range(30):
            await client.classify(b"BM")
    assert [len(worker.seen) for worker in workers] == [10, 10, 10]
    assert len(proxy.seen) == 1


@pytest.mark.parametrize(("balance", "most"), [("least-in-flight", 1), ("round-robin", 5)])
async def test_a_slow_worker_gets_less_except_with_round_robin(
    fleet: ScriptedFleet, balance: Balance, most: int
) -> None:
    slow, quick = fleet.server(otherwise=fleet.never()), fleet.server()
    proxy = fleet.server(otherwise=fleet.leases(slow.address, quick.address))
    async with AsyncFleetClient(proxy.url, p2p=True, balance=balance) as client:
        calls: list[asyncio.Task[Classification]] = []

        async def all_but_the_slow_are_done() -> bool:
            begun = len(slow.seen) + len(quick.seen)
            return begun == len(calls) and sum(call.done() for call in calls) == len(quick.seen)

        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                calls.append(group.create_task(client.classify(b"BM")))
                await eventually(all_but_the_slow_are_done)
            for call in calls:
                call.cancel()
    assert len(slow.seen) == most


async def test_a_lease_has_at_most_as_many_workers_as_connections(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(otherwise=fleet.names(fleet.server().address))
    async with AsyncFleetClient(proxy.url, p2p=True, max_connections=3) as client:
        await client.classify(b"BM")
    assert proxy.seen[0].path == "/worker?n=3"


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
    proxy = fleet.server(
        otherwise=fleet.names(bad, fleet.server(otherwise=fleet.predictions("good")).address)
    )
    async with AsyncFleetClient(proxy.url, p2p=True, try_timeout_s=0.5) as client:
        found = await client.classify(b"BM")
    assert found.predictions[0].label == "good"
    assert found.retries == 1
    assert found.elapsed_ms < 10_000
    assert [seen.path for seen in proxy.seen] == ["/worker?n=64", f"/worker?n=64&except=id-of-{bad}"]


async def test_a_failed_worker_is_avoided_even_when_named_again(
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
    async with AsyncFleetClient(proxy.url, p2p=True, try_timeout_s=0.3) as client:
        with pytest.raises(FleetUnavailableError) as caught:
            await client.classify(b"BM")
    assert str(caught.value) == (
        f"no worker that {proxy.url} named accepted the image ({nobody}: connection refused; "
        f"{leaving.address}: this worker is leaving; {silent.address}: no progress for 0.3 s; "
        f"{silent.address}: no progress for 0.3 s)"
    )
    assert (caught.value.status, caught.value.retry_after_s) == (503, 0.0)
    assert caught.value.request_id == proxy.seen[0].headers["X-Request-Id"]


async def test_a_deadline_error_names_each_worker_too(fleet: ScriptedFleet, nobody: str) -> None:
    silent = fleet.server(otherwise=fleet.never())
    proxy = fleet.server(otherwise=fleet.names(nobody, silent.address))
    async with AsyncFleetClient(proxy.url, p2p=True, timeout_s=0.2) as client:
        with pytest.raises(DeadlineExceededError) as caught:
            await client.classify(b"BM")
    assert f"({nobody}: connection refused; {silent.address}: no answer yet)" in str(caught.value)


async def test_the_image_is_sent_to_a_few_workers_and_no_more(fleet: ScriptedFleet) -> None:
    leaving = [
        fleet.server(otherwise=fleet.problem(503, f"worker {n} leaves")) for n in range(MAX_ATTEMPTS + 2)
    ]
    proxy = fleet.server(otherwise=fleet.names(*(worker.address for worker in leaving)))
    async with p2p(proxy) as client:
        with pytest.raises(FleetUnavailableError, match=f"worker {MAX_ATTEMPTS - 1} leaves"):
            await client.classify(b"BM")
    assert [len(worker.seen) for worker in leaving] == [1] * MAX_ATTEMPTS + [0, 0]


@pytest.mark.process
async def test_with_only_a_busy_worker_left_a_call_waits(fleet: ScriptedFleet, nobody: str) -> None:
    """As long as that worker's Retry-After says."""
    full = fleet.problem(429, "the queue is full", Retry_After="1")
    worker = fleet.server(full, otherwise=fleet.predictions("after a while"))
    proxy = fleet.server(fleet.names(nobody), otherwise=fleet.names(worker.address))
    async with p2p(proxy) as client:
        found = await client.classify(b"BM")
    assert found.predictions[0].label == "after a while"
    assert found.retries == 2
    assert found.elapsed_ms >= 1000
    assert len(worker.seen) == 2


async def test_a_call_without_time_to_wait_fails_at_once(fleet: ScriptedFleet) -> None:
    worker = fleet.server(otherwise=fleet.problem(429, "the queue is full", Retry_After="60"))
    proxy = fleet.server(otherwise=fleet.names(worker.address))
    async with p2p(proxy) as client:
        with pytest.raises(BusyError, match="the queue is full") as caught:
            await client.classify(b"BM")
    assert caught.value.retry_after_s == 60.0
    assert len(worker.seen) == 1


async def test_a_busy_fleet_gets_few_retries(fleet: ScriptedFleet) -> None:
    worker = fleet.server(otherwise=fleet.problem(429, "the queue is full", Retry_After="0"))
    proxy = fleet.server(otherwise=fleet.names(worker.address))
    async with p2p(proxy) as client:
        with pytest.raises(BusyError):
            await client.classify(b"BM")
    assert len(worker.seen) == MAX_ATTEMPTS


async def test_if_all_workers_are_late_each_is_asked_once_more(fleet: ScriptedFleet) -> None:
    worker = fleet.server(fleet.never(), otherwise=fleet.predictions("the second time"))
    proxy = fleet.server(otherwise=fleet.names(worker.address))
    async with AsyncFleetClient(proxy.url, p2p=True, try_timeout_s=0.5) as client:
        found = await client.classify(b"BM")
    assert (found.predictions[0].label, found.retries) == ("the second time", 1)


async def test_a_stale_connection_is_no_failure_of_its_worker(fleet: ScriptedFleet) -> None:
    worker = fleet.server(fleet.predictions(), fleet.reset(), fleet.predictions("again"))
    proxy = fleet.server(otherwise=fleet.names(worker.address))
    async with p2p(proxy) as client:
        await client.classify(b"BM")
        assert (await client.classify(b"BM")).predictions[0].label == "again"
    assert len(proxy.seen) == 1


async def test_answers_that_are_not_retried_are_returned(fleet: ScriptedFleet) -> None:
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


async def test_another_server_in_the_proxys_place_is_reported(fleet: ScriptedFleet) -> None:
    async with p2p(fleet.server(fleet.text(200, "<html>"))) as client:
        with pytest.raises(UnexpectedAnswerError, match=r"/worker\?n=64 answered 200 OK"):
            await client.classify(b"BM")


async def test_without_a_worker_the_error_is_the_proxys(fleet: ScriptedFleet) -> None:
    async with p2p(fleet.server(fleet.problem(503, "no worker is ready", Retry_After="1"))) as client:
        with pytest.raises(FleetUnavailableError, match="no worker is ready") as caught:
            await client.classify(b"BM")
    assert caught.value.retry_after_s == 1.0


async def test_a_worker_that_moved_away_is_replaced(
    fleet: ScriptedFleet,
) -> None:
    """Each image names its worker, so that whoever has its address by now refuses it."""
    stranger = fleet.server(otherwise=fleet.problem(421, "the image is for another worker", X_Worker="w3"))
    other = fleet.server(otherwise=fleet.predictions("beagle"))
    proxy = fleet.server(otherwise=fleet.names(stranger.address, other.address))
    async with p2p(proxy) as client:
        result = await client.classify(b"BM")
    assert (result.predictions[0].label, result.retries) == ("beagle", 1)
    for worker in (stranger, other):
        assert [seen.headers["X-Worker"] for seen in worker.seen] == [f"id-of-{worker.address}"]
    assert proxy.seen[-1].path == f"/worker?n=64&except=id-of-{stranger.address}", "and is told"


@pytest.mark.parametrize("name", ["", "a\r\nX-Evil: b", "\u00e9"])
async def test_x_worker_is_sent_only_with_a_valid_id(fleet: ScriptedFleet, name: str) -> None:
    worker = fleet.server()
    row = {"id": name, "address": worker.address}
    document = json.dumps({"workers": [row], "expires_in_s": 10})
    proxy = fleet.server(otherwise=fleet.text(200, document, "application/json"))
    async with p2p(proxy) as client:
        await client.classify(b"BM")
    assert "X-Worker" not in worker.seen[0].headers
