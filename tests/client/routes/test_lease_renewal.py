from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.waiting import eventually
from tfleet.client import FleetUnavailableError
from tfleet.client.http.transport import Transport
from tfleet.client.proxies.addresses import parse_proxies
from tfleet.client.proxies.failover import ProxyFailover
from tfleet.client.routes.lease_renewal import LeaseRenewal

if TYPE_CHECKING:
    from tests.client.conftest import Scripted, ScriptedFleet
    from tfleet.client.routes.lookup import FoundWorker

FOUR = ("10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3", "10.0.0.1:4")


@asynccontextmanager
async def keeper(proxy: Scripted) -> AsyncIterator[LeaseRenewal]:
    wire = Transport(connect_timeout_s=5, max_connections=4)
    proxies = ProxyFailover(wire, parse_proxies(proxy.url), try_timeout_s=5)
    made = LeaseRenewal(wire, proxies, size=8, balance="round-robin")
    yield made
    await made.close()
    await wire.close()


async def a_worker(lease: LeaseRenewal) -> FoundWorker:
    found = await lease.worker((), "r")
    assert found is not None
    return found


def lookups(proxy: Scripted, at_least: int) -> Callable[[object], bool]:
    return lambda _: len(proxy.seen) >= at_least


async def test_many_calls_at_once_make_one_lookup(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(otherwise=fleet.leases(*FOUR))
    async with keeper(proxy) as lease:
        found = await asyncio.gather(*(a_worker(lease) for _ in range(40)))
    assert {str(one.address) for one in found} == set(FOUR)
    assert [(seen.path, seen.headers["X-Request-Id"]) for seen in proxy.seen] == [("/worker?n=8", "r")]


async def test_each_client_starts_at_a_random_worker(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(otherwise=fleet.leases(*FOUR))
    first = set()
    for _ in range(40):
        async with keeper(proxy) as lease:
            first.add(str((await a_worker(lease)).address))
    assert first == set(FOUR), "so many that send one image each don't all send it to the same worker"


@pytest.mark.process
async def test_a_renewal_runs_beside_calls_and_reports_failures(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(fleet.leases(*FOUR), otherwise=fleet.never())
    async with keeper(proxy) as lease:
        failed = await a_worker(lease)
        lease.failed(failed)
        await eventually(lambda: a_worker(lease), wanted=lookups(proxy, 2))
        for _ in range(9):  # the renewal hangs, and nobody waits for it
            assert (await a_worker(lease)).id != failed.id
    assert proxy.seen[1].path == f"/worker?n=8&except={failed.id}"
    assert len(proxy.seen) == 2


async def test_a_renewal_brings_new_workers(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(fleet.leases(FOUR[0], lasts_s=0.1), otherwise=fleet.leases(*FOUR))
    async with keeper(proxy) as lease:
        assert str((await a_worker(lease)).address) == FOUR[0]
        await eventually(lambda: a_worker(lease), wanted=lambda found: str(found.address) == FOUR[3])
    assert len(proxy.seen) == 2


async def test_an_idle_client_makes_no_lookups(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(otherwise=fleet.leases(*FOUR, lasts_s=0.01))
    async with keeper(proxy) as lease:
        await a_worker(lease)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "nobody is there who could ask"


async def test_without_the_proxy_answering_workers_stay_in_use(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(fleet.leases(*FOUR, lasts_s=0.01), otherwise=fleet.reset())
    async with keeper(proxy) as lease:
        await a_worker(lease)
        await eventually(lambda: a_worker(lease), wanted=lookups(proxy, 3))
        assert repr(lease) == "<LeaseRenewal <Lease 4 of 4 workers> in_flight={}>"


async def test_a_first_lookups_error_is_the_calls(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(otherwise=fleet.problem(503, "no worker is ready", Retry_After="1"))
    async with keeper(proxy) as lease:
        for _ in range(2):
            with pytest.raises(FleetUnavailableError, match="no worker is ready"):
                await lease.worker((), "r")
        assert await lease.worker(("w1",), "r") is None


async def test_a_renewal_replaces_the_workers_that_failed_a_call(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(fleet.leases(*FOUR[:2]), otherwise=fleet.leases(*FOUR))
    async with keeper(proxy) as lease:
        await a_worker(lease)
        avoided = [f"id-of-{address}" for address in FOUR[:3]]
        found = await lease.worker(avoided, "r")
        assert found is not None
        assert str(found.address) == FOUR[3]
        assert await lease.worker([f"id-of-{address}" for address in FOUR], "r") is None


async def test_the_only_worker_is_back_as_soon_as_the_proxy_trusts_it(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(otherwise=fleet.leases(FOUR[0]))
    async with keeper(proxy) as lease:
        lease.failed(only := await a_worker(lease))
        assert (await a_worker(lease)) == only
    assert [seen.path for seen in proxy.seen] == [
        "/worker?n=8",
        f"/worker?n=8&except={only.id}",
        "/worker?n=8",
    ]


async def test_images_in_flight_are_counted_and_forgotten(fleet: ScriptedFleet) -> None:
    async with keeper(fleet.server(otherwise=fleet.leases(*FOUR))) as lease:
        one = await a_worker(lease)
        with lease.using(one), lease.using(one):
            assert repr(lease).endswith(f" in_flight={{'{one.id}': 2}}>")
        assert repr(lease) == "<LeaseRenewal <Lease 4 of 4 workers> in_flight={}>"


async def test_closing_cancels_a_renewal(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(otherwise=fleet.never())
    async with keeper(proxy) as lease:
        waiting = asyncio.create_task(a_worker(lease))
        await asyncio.to_thread(proxy.wait_for, 1)
        await lease.close()
        with pytest.raises(RuntimeError, match="the client is closed"):
            await waiting


async def test_an_older_tickets_refusal_needs_no_renewal(
    fleet: ScriptedFleet,
) -> None:
    """The lease has a newer ticket by then."""
    proxy = fleet.server(otherwise=fleet.leases(*FOUR))
    async with keeper(proxy) as lease:
        await a_worker(lease)
        assert await lease.another_ticket("an older one", "r")
        assert len(proxy.seen) == 1
        assert not await lease.another_ticket("", "r"), "no renewal brings a ticket"
        assert len(proxy.seen) == 2
