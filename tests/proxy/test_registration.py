import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from tests.proxy.admin.test_registry_metrics import scrape
from tests.support.canned_server import canned, http, nobody
from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import fake_worker, settings
from tests.support.registered_workers import deregister, listed, ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.instance import Instance
from tfleet.discovery.registration.conflicts import find_address_owner
from tfleet.discovery.registration.prune import find_stale
from tfleet.discovery.registry import ConsulRegistry, EmbeddedRegistry
from tfleet.proxy.server import single_process_proxy

NAME = "tfleet-proxy"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def agent(registry: Address) -> ConsulAgent:
    return ConsulAgent(registry, NAME, ttl_s=60.0)


async def test_a_proxy_is_registered_from_first_worker_to_drain() -> None:
    with embedded_registry() as registry:
        async with (
            fake_worker() as worker,
            single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy,
        ):
            await eventually(
                lambda: scrape(proxy), wanted=lambda now: now['answers_total{result="changed"}'] == 1
            )
            assert await listed(registry) == [], "there is nobody yet whom it could send an image to"
            await register(registry, worker.address)
            await eventually(lambda: listed(registry))
            await eventually(lambda: scrape(proxy), wanted=lambda now: now["registered"] == 1)
            worker.ready = False
            await deregister(registry)
            await eventually(lambda: workers(proxy), wanted=lambda rows: rows == [])
            assert await listed(registry), "where it sees no worker, other proxies don't either"
        assert await listed(registry) == []


async def test_proxies_and_workers_are_separate_services() -> None:
    with embedded_registry() as registry:
        async with (
            fake_worker() as worker,
            single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy,
        ):
            await register(registry, worker.address)
            await eventually(lambda: listed(registry))
            assert ready(await workers(proxy)), "it is not among its own workers"
            assert [row["ID"] for row in await listed(registry, "tfleet")] == ["w1"]


@pytest.mark.process
async def test_a_proxy_deregisters_before_it_refuses_requests() -> None:
    with embedded_registry() as registry:
        where = settings(registry=ConsulRegistry(registry), drain_grace_s=1.0)
        async with fake_worker() as worker, AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(single_process_proxy(where))
            await register(registry, worker.address)
            await eventually(lambda: listed(registry))
            async with asyncio.TaskGroup() as group:
                group.create_task(stack.aclose())
                await eventually(lambda: listed(registry), wanted=lambda rows: rows == [])
                async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/worker") as answer:
                    assert answer.status == 200


@pytest.mark.process
async def test_a_draining_proxy_does_not_register() -> None:
    registrations: list[str] = []

    @web.middleware
    async def witness(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/v1/agent/service/register":
            registrations.append(await request.text())
        return await handler(request)

    with embedded_registry(witness) as registry:
        where = settings(registry=ConsulRegistry(registry), drain_grace_s=2.0)
        async with fake_worker() as worker, AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(single_process_proxy(where))
            async with asyncio.TaskGroup() as group:
                group.create_task(stack.aclose())
                await register(registry, worker.address)
                await eventually(lambda: workers(proxy), wanted=ready)
    assert len(registrations) == 1, "the worker's"


async def test_a_killed_proxy_is_removed_from_the_registry() -> None:
    async def die(registry: Address) -> None:
        async with fake_worker() as worker, single_process_proxy(settings(registry=ConsulRegistry(registry))):
            await register(registry, worker.address)
            await eventually(lambda: listed(registry))
            raise LookupError("it lost its eyes")

    with embedded_registry() as registry:
        with pytest.raises(LookupError):
            await die(registry)
        assert await listed(registry) == []


@pytest.mark.parametrize("chosen", [None, Address("proxy.example", 80)])
async def test_a_proxy_advertises_the_chosen_or_listening_address(chosen: Address | None) -> None:
    with embedded_registry() as registry:
        where = settings(registry=ConsulRegistry(registry), advertise=chosen)
        async with fake_worker() as worker, single_process_proxy(where) as proxy:
            await register(registry, worker.address)
            (row,) = await eventually(lambda: listed(registry))
            assert Address(row["Address"], row["Port"]) == (chosen or proxy)


async def test_a_proxy_that_hosts_the_registry_is_registered_in_it() -> None:
    registry = nobody()
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(registry=EmbeddedRegistry(registry))) as proxy,
    ):
        await register(registry, worker.address)
        (row,) = await eventually(lambda: listed(registry))
        assert row["Port"] == proxy.port


async def test_a_proxy_serves_although_it_cannot_register() -> None:
    broken = True

    @web.middleware
    async def no_agent(request: web.Request, handler: Handler) -> web.StreamResponse:
        if broken and "tfleet-proxy" in await request.text() + request.path:
            return web.Response(status=500, text="no")
        return await handler(request)

    with embedded_registry(no_agent) as registry:
        async with (
            fake_worker() as worker,
            single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy,
        ):
            await register(registry, worker.address)
            await eventually(lambda: workers(proxy), wanted=ready)
            async with aiohttp.ClientSession() as session, session.post(proxy.url, data=b"x") as answer:
                assert answer.status == 200
            assert (await scrape(proxy))["registered"] == 0
            broken = False
            await eventually(lambda: listed(registry))


async def test_a_proxy_taking_over_a_port_removes_the_stale_entry() -> None:
    proxy = nobody()
    stale = Instance("tfleet-proxy-127.0.0.1-stale", proxy)
    with embedded_registry() as registry:
        await asyncio.to_thread(agent(registry).register, stale)
        where = settings(registry=ConsulRegistry(registry), port=proxy.port)
        async with fake_worker() as worker, single_process_proxy(where):
            await register(registry, worker.address)
            (row,) = await eventually(
                lambda: listed(registry), wanted=lambda rows: rows and rows[0]["ID"] != stale.id
            )
            assert row["Port"] == proxy.port


async def test_an_address_conflict_leaves_the_other_entry_alone() -> None:
    """The proxy serves on."""
    with embedded_registry() as registry, canned(http("200 OK", b"", "X-Proxy: other")) as address:
        other = Instance("other", address)
        await asyncio.to_thread(agent(registry).register, other)
        where = settings(registry=ConsulRegistry(registry), advertise=address)
        async with fake_worker() as worker, single_process_proxy(where) as proxy:
            await register(registry, worker.address)
            await eventually(lambda: workers(proxy), wanted=ready)
            assert [row["ID"] for row in await listed(registry)] == ["other"]
            await asyncio.to_thread(agent(registry).deregister, other)
            await eventually(lambda: listed(registry))


async def test_a_live_proxy_is_not_pruned() -> None:
    with embedded_registry() as registry:
        async with fake_worker() as worker, single_process_proxy(settings(registry=ConsulRegistry(registry))):
            await register(registry, worker.address)
            await eventually(lambda: listed(registry))
            assert await asyncio.to_thread(find_stale, agent(registry), find_address_owner) == ()
