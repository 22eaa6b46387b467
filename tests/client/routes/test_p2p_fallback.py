"""Where no worker can be reached, images go through the proxy."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

import pytest

from tests.client.routes.p2p_client import p2p
from tests.support.canned_server import nobody as nobody_there
from tests.support.waiting import eventually
from tfleet.client import (
    FleetUnavailableError,
)
from tfleet.client.http.transport import Transport
from tfleet.client.images.image import load
from tfleet.client.proxies.addresses import parse_proxies
from tfleet.client.proxies.failover import ProxyFailover
from tfleet.client.routes.call import Call
from tfleet.client.routes.p2p import AGAIN_AFTER_S, PeerToPeer, ProxyFallback

if TYPE_CHECKING:
    from aiohttp import web

    from tests.client.conftest import Handler, ScriptedFleet


NOW_S = 1000.0


def test_the_fallback_lasts_until_a_worker_is_reached() -> None:
    """It is reported once."""
    none = ProxyFallback()
    assert (none.active, none.warned, none.due(NOW_S)) == (False, False, False)
    on = none.on(NOW_S, random.Random(1))
    assert (on.active, on.warned) == (True, True)
    off = on.off()
    assert (off.active, off.warned, off.due(NOW_S + 1e6)) == (False, True, False)


def test_workers_are_tried_again_after_a_jittered_pause() -> None:
    waits_s = [
        (ProxyFallback().on(NOW_S, random.Random(seed)).check_at_s or 0.0) - NOW_S for seed in range(100)
    ]
    assert 0.75 * AGAIN_AFTER_S <= min(waits_s) < 0.8 * AGAIN_AFTER_S
    assert 1.2 * AGAIN_AFTER_S < max(waits_s) <= 1.25 * AGAIN_AFTER_S
    on = ProxyFallback(8.0).on(NOW_S, random.Random(1))
    assert (on.due(NOW_S + 5.9), on.due(NOW_S + 10)) == (False, True)


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
    worker = fleet.server(otherwise=fleet.predictions("straight"))
    wire = Transport(connect_timeout_s=5, max_connections=4)
    route = PeerToPeer(
        wire,
        ProxyFailover(wire, parse_proxies(proxy.url), try_timeout_s=5),
        try_timeout_s=5,
        max_workers=8,
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
    assert repr(route) == "<PeerToPeer <LeaseRenewal <Lease 1 of 1 workers> in_flight={}> fallback=False>"
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
