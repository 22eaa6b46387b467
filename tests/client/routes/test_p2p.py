from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.canned_server import nobody as nobody_there
from tests.support.waiting import eventually
from tfleet.client import (
    AsyncFleetClient,
    BadImageError,
    BusyError,
    DeadlineExceededError,
    FleetUnavailableError,
    UnexpectedAnswerError,
)
from tfleet.client.http.transport import Transport
from tfleet.client.images.image import load
from tfleet.client.proxies.addresses import parse_whereabouts
from tfleet.client.proxies.failover import ProxyFailover
from tfleet.client.routes.call import Call
from tfleet.client.routes.p2p import MAX_TRIES, PeerToPeer

if TYPE_CHECKING:
    from aiohttp import web

    from tests.client.conftest import Handler, Scripted, ScriptedFleet
    from tfleet.client import Classification
    from tfleet.client.routes.lease import Balance


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
async def test_a_slow_worker_gets_less_unless_they_are_to_take_turns(
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
    proxy = fleet.server(otherwise=fleet.names(bad, label(fleet, "good").address))
    async with AsyncFleetClient(proxy.url, p2p=True, try_timeout_s=0.1) as client:
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
    async with AsyncFleetClient(proxy.url, p2p=True, try_timeout_s=0.1) as client:
        with pytest.raises(FleetUnavailableError) as caught:
            await client.classify(b"BM")
    assert str(caught.value) == (
        f"no worker that {proxy.url} named took the image ({nobody}: connection refused; "
        f"{leaving.address}: this worker is leaving; {silent.address}: nothing moved for 0.1 s; "
        f"{silent.address}: nothing moved for 0.1 s)"
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
    leaving = [fleet.server(otherwise=fleet.problem(503, f"worker {n} leaves")) for n in range(MAX_TRIES + 2)]
    proxy = fleet.server(otherwise=fleet.names(*(worker.address for worker in leaving)))
    async with p2p(proxy) as client:
        with pytest.raises(FleetUnavailableError, match=f"worker {MAX_TRIES - 1} leaves"):
            await client.classify(b"BM")
    assert [len(worker.seen) for worker in leaving] == [1] * MAX_TRIES + [0, 0]


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
    assert len(worker.seen) == MAX_TRIES


async def test_where_all_are_late_they_are_asked_once_more(fleet: ScriptedFleet) -> None:
    worker = fleet.server(fleet.never(), otherwise=fleet.predictions("the second time"))
    proxy = fleet.server(otherwise=fleet.names(worker.address))
    async with AsyncFleetClient(proxy.url, p2p=True, try_timeout_s=0.2) as client:
        found = await client.classify(b"BM")
    assert (found.predictions[0].label, found.retries) == ("the second time", 1)


async def test_a_stale_connection_is_no_failure_of_its_worker(fleet: ScriptedFleet) -> None:
    worker = fleet.server(fleet.predictions(), fleet.reset(), fleet.predictions("again"))
    proxy = fleet.server(otherwise=fleet.names(worker.address))
    async with p2p(proxy) as client:
        await client.classify(b"BM")
        assert (await client.classify(b"BM")).predictions[0].label == "again"
    assert len(proxy.seen) == 1


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


async def test_another_server_in_the_proxys_place_is_reported(fleet: ScriptedFleet) -> None:
    async with p2p(fleet.server(fleet.text(200, "<html>"))) as client:
        with pytest.raises(UnexpectedAnswerError, match=r"/worker\?n=64 answered 200 OK"):
            await client.classify(b"BM")


async def test_no_worker_is_what_the_proxy_says(fleet: ScriptedFleet) -> None:
    async with p2p(fleet.server(fleet.problem(503, "no worker is ready", Retry_After="1"))) as client:
        with pytest.raises(FleetUnavailableError, match="no worker is ready") as caught:
            await client.classify(b"BM")
    assert caught.value.retry_after_s == 1.0


def also_forwarding(fleet: ScriptedFleet, lookup: Handler, forward: Handler | None = None) -> Handler:
    """A proxy that answers lookups and takes images, too."""
    forward = forward or fleet.predictions("through the proxy")

    async def handler(request: web.Request) -> web.StreamResponse:
        return await (forward if request.method == "POST" else lookup)(request)

    return handler


def unreachable(number: int) -> list[str]:
    return [str(nobody_there()) for _ in range(number)]


async def test_an_unreachable_worker_is_found_at_first_contact(fleet: ScriptedFleet) -> None:
    good = fleet.server()
    proxy = fleet.server(otherwise=fleet.leases(*unreachable(4), good.address))
    retries = []
    for _ in range(10):  # each begins anywhere, one in five with the good one
        async with p2p(proxy) as client:
            retries.append((await client.classify(b"BM")).retries)
            assert (await client.classify(b"BM")).retries == 0 or retries[-1] == 0
    assert set(retries) <= {0, 1}
    assert 1 in retries


async def test_without_reachable_workers_images_go_by_the_proxy(
    fleet: ScriptedFleet, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller is told of it once."""
    lease = fleet.leases(*unreachable(8), forwards=True)
    proxy = fleet.server(otherwise=also_forwarding(fleet, lease))
    async with p2p(proxy) as client:
        found = [await client.classify(b"BM image") for _ in range(5)]
    assert {one.predictions[0].label for one in found} == {"through the proxy"}
    assert [one.retries for one in found] == [1, 0, 0, 0, 0]
    assert [seen.path for seen in proxy.seen if seen.method == "POST"] == ["/predict?top=3"] * 5
    assert len([seen for seen in proxy.seen if seen.method == "GET"]) == 2
    (warning,) = caplog.records
    assert (warning.name, warning.levelno) == ("tfleet.client", logging.WARNING)
    assert warning.getMessage().startswith("no worker can be reached from here (127.0.0.1:")
    assert warning.getMessage().endswith(f": connection refused): images go through {proxy.url}")


async def test_early_images_fall_back_to_the_proxy_too(
    fleet: ScriptedFleet, caplog: pytest.LogCaptureFixture
) -> None:
    both_are_there = asyncio.Event()

    async def forward(request: web.Request) -> web.StreamResponse:
        if len([seen for seen in proxy.seen if seen.method == "POST"]) == 2:
            both_are_there.set()
        await both_are_there.wait()
        return await fleet.predictions()(request)

    lease, nobody_is_ready = (
        fleet.leases(*unreachable(1), forwards=True),
        fleet.problem(503, "nobody is ready"),
    )
    proxy = fleet.server(lease, otherwise=also_forwarding(fleet, nobody_is_ready, forward))
    async with p2p(proxy) as client, asyncio.TaskGroup() as group:
        first = group.create_task(client.classify(b"BM"))
        await asyncio.to_thread(proxy.wait_for, 3)  # the lease, a renewal in vain, and the image
        assert (await client.classify(b"BM")).retries == 0
    assert first.result().retries == 1
    assert len(caplog.records) == 1


async def test_concurrent_images_fall_back_to_the_proxy_too(fleet: ScriptedFleet) -> None:
    """A call that avoids nobody yet has those who failed named again while another gives them up."""
    for pause_s in (0.0, 0.001, 0.002, 0.003, 0.004, 0.006):
        lease = fleet.leases(*unreachable(1), forwards=True)
        proxy = fleet.server(otherwise=also_forwarding(fleet, lease))
        async with p2p(proxy) as client, asyncio.TaskGroup() as group:
            calls = []
            for _ in range(8):
                calls.append(group.create_task(client.classify(b"BM image")))
                await asyncio.sleep(pause_s)
        assert {call.result().predictions[0].label for call in calls} == {"through the proxy"}


async def test_images_go_to_workers_again_once_one_is_reachable(
    fleet: ScriptedFleet, caplog: pytest.LogCaptureFixture
) -> None:
    proxy = fleet.server(otherwise=also_forwarding(fleet, fleet.leases(*unreachable(2), forwards=True)))
    worker = label(fleet, "straight")
    wire = Transport(connect_timeout_s=5, max_connections=4)
    route = PeerToPeer(
        wire,
        ProxyFailover(wire, parse_whereabouts(proxy.url), try_timeout_s=5),
        try_timeout_s=5,
        most_workers=8,
        balance="round-robin",
        again_after_s=0.05,
    )
    image = await load(b"BM image")

    async def answered() -> bytes:
        return (await route.send(image, Call("r", asyncio.get_running_loop().time() + 20))).body

    for _ in range(3):
        assert b"through the proxy" in await answered()
    before = len(proxy.seen)
    await eventually(
        answered, wanted=lambda _: len([s for s in proxy.seen[before:] if s.method == "GET"]) > 1
    )
    assert b"through the proxy" in await answered(), "it has looked, and found nobody"
    proxy.otherwise = also_forwarding(fleet, fleet.leases(worker.address, forwards=True))
    await eventually(answered, wanted=lambda body: b"straight" in body)
    assert b"straight" in await answered()
    assert repr(route) == "<PeerToPeer <LeaseKeeper <Lease 1 of 1 workers> in_flight={}> detour=False>"
    await route.close()
    await wire.close()
    assert len(caplog.records) == 1


async def test_a_proxy_that_takes_no_images_is_sent_none(
    fleet: ScriptedFleet, caplog: pytest.LogCaptureFixture
) -> None:
    (dead,) = unreachable(1)
    proxy = fleet.server(otherwise=fleet.leases(dead))
    async with p2p(proxy) as client:
        with pytest.raises(FleetUnavailableError, match=f"{dead}: connection refused"):
            await client.classify(b"BM")
    assert {seen.method for seen in proxy.seen} == {"GET"}
    assert caplog.records == []


async def test_workers_the_proxy_cannot_reach_cause_no_fallback(
    fleet: ScriptedFleet, caplog: pytest.LogCaptureFixture
) -> None:
    (dead,) = unreachable(1)
    lease, refusal = fleet.leases(dead, forwards=True), fleet.problem(502, "no worker answered")
    proxy = fleet.server(otherwise=also_forwarding(fleet, lease, refusal))
    async with p2p(proxy) as client:
        for _ in range(2):
            with pytest.raises(FleetUnavailableError, match=f"{dead}: connection refused"):
                await client.classify(b"BM")
    assert caplog.records == []


async def test_a_worker_that_answers_is_reached_whatever_it_says(
    fleet: ScriptedFleet, caplog: pytest.LogCaptureFixture
) -> None:
    starting = fleet.server(otherwise=fleet.problem(503, "it starts"))
    proxy = fleet.server(otherwise=also_forwarding(fleet, fleet.leases(starting.address, forwards=True)))
    async with p2p(proxy) as client:
        with pytest.raises(FleetUnavailableError, match="it starts"):
            await client.classify(b"BM")
    assert {seen.method for seen in proxy.seen} == {"GET"}
    assert caplog.records == []


async def test_a_worker_that_moved_away_is_replaced(
    fleet: ScriptedFleet,
) -> None:
    """Each image names its worker, so that whoever has its address by now refuses it."""
    stranger = fleet.server(otherwise=fleet.problem(421, "the image is for another worker", X_Worker="w3"))
    other = label(fleet, "beagle")
    proxy = fleet.server(otherwise=fleet.names(stranger.address, other.address))
    async with p2p(proxy) as client:
        result = await client.classify(b"BM")
    assert (result.predictions[0].label, result.retries) == ("beagle", 1)
    for worker in (stranger, other):
        assert [seen.headers["X-Worker"] for seen in worker.seen] == [f"id-of-{worker.address}"]
    assert proxy.seen[-1].path == f"/worker?n=64&except=id-of-{stranger.address}", "and is told"


@pytest.mark.parametrize("name", ["", "a\r\nX-Evil: b", "\u00e9"])
async def test_a_worker_whose_name_is_none_is_not_named(fleet: ScriptedFleet, name: str) -> None:
    worker = fleet.server()
    row = {"id": name, "address": worker.address}
    document = json.dumps({"workers": [row], "expires_in_s": 10})
    proxy = fleet.server(otherwise=fleet.text(200, document, "application/json"))
    async with p2p(proxy) as client:
        await client.classify(b"BM")
    assert "X-Worker" not in worker.seen[0].headers
