from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from tfleet.discovery.embedded import AGENT, RegistryLimits, make_registry
from tfleet.discovery.embedded.limits import CatalogLimits, RegistryHttpLimits
from tfleet.discovery.embedded.model import CheckDefinition, Service, ServiceDefinition
from tfleet.discovery.embedded.state import RegistryState

_REGISTER = "/v1/agent/service/register"
_HEALTH = "/v1/health/service/n"


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class _Server:
    def __init__(
        self, agent: RegistryState, runner: web.AppRunner, url: str, session: aiohttp.ClientSession
    ) -> None:
        self.agent = agent
        self.runner = runner
        self.url = url
        self.session = session

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.session.get(path) as answer:
            return answer.status, await answer.json(content_type=None) if answer.ok else await answer.text()

    async def put(self, path: str, body: object = None) -> tuple[int, str]:
        async with self.session.put(path, json=body) as answer:
            return answer.status, await answer.text()

    async def held(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.agent.watchers) != count:  # noqa: ASYNC110 - that a query is held fires no event
                await asyncio.sleep(0.001)


@asynccontextmanager
async def _served(**options: Any) -> AsyncIterator[_Server]:
    app = make_registry(**({"first_index": 1} | options))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    url = f"http://{host}:{port}"
    async with aiohttp.ClientSession(url) as session:
        try:
            yield _Server(app[AGENT], runner, url, session)
        finally:
            await runner.cleanup()


def _service(**fields: object) -> dict[str, object]:
    check = {"TTL": "10s", "Status": "passing", "DeregisterCriticalServiceAfter": "1m"}
    return {"Name": "n", "ID": "i", "Check": check} | fields


async def test_time_passes_by_the_injected_clock() -> None:
    clock = _Clock()
    async with _served(clock=clock) as server:
        await server.put(_REGISTER, _service())
        clock.now = 9.0
        assert len((await server.get(f"{_HEALTH}?passing"))[1]) == 1
        clock.now = 10.0
        assert (await server.get(f"{_HEALTH}?passing"))[1] == []
        assert len((await server.get(_HEALTH))[1]) == 1
        clock.now = 70.0
        assert (await server.get(_HEALTH))[1] == []


async def test_a_blocking_query_wakes_when_a_ttl_passes() -> None:
    async with _served() as server:
        await server.put(_REGISTER, _service(Check={"TTL": "50ms", "Status": "passing"}))
        async with asyncio.timeout(5):
            _, entries = await server.get(f"{_HEALTH}?index={server.agent.catalog.index}")
        assert [check["Status"] for check in entries[0]["Checks"]] == ["passing", "critical"]


@pytest.mark.process
async def test_timer_follows_a_clock_that_jumps() -> None:
    clock = _Clock()
    async with _served(clock=clock) as server, asyncio.TaskGroup() as group:
        await server.put(_REGISTER, _service())
        waiting = group.create_task(server.get(f"{_HEALTH}?index={server.agent.catalog.index}"))
        await server.held(1)
        clock.now = 11.0
        async with asyncio.timeout(5):
            _, entries = await waiting
        assert entries[0]["Checks"][1]["Status"] == "critical"


async def test_shutdown_ends_blocking_queries_at_once() -> None:
    async with _served() as server, asyncio.TaskGroup() as group:
        index = server.agent.catalog.index
        waiting = [group.create_task(server.get(f"{_HEALTH}?index={index}&wait=5m")) for _ in range(3)]
        await server.held(3)
        started = time.monotonic()
        await server.runner.cleanup()
        assert time.monotonic() - started < 10, "and not after five minutes"
        assert await asyncio.gather(*waiting) == [(200, [])] * 3


async def test_shutdown_leaves_no_timer() -> None:
    async with _served() as server:
        await server.put(_REGISTER, _service())
        agent = server.agent
        assert repr(agent).endswith("closed=False> timer=True>")
    agent.settle()
    assert repr(agent).endswith("closed=True> timer=False>")


async def test_place_of_a_client_that_went_away_is_free_again() -> None:
    async with _served(limits=RegistryLimits(http=RegistryHttpLimits(gone_check_s=0.01))) as server:
        async with aiohttp.ClientSession(server.url) as other:
            waiting = asyncio.ensure_future(other.get(f"{_HEALTH}?index={server.agent.catalog.index}"))
            await server.held(1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await server.held(0)


async def test_one_blocking_query_too_many_is_429() -> None:
    async with (
        _served(limits=RegistryLimits(http=RegistryHttpLimits(blocking_queries=1))) as server,
        asyncio.TaskGroup() as group,
    ):
        path = f"{_HEALTH}?index={server.agent.catalog.index}"
        group.create_task(server.get(path))
        await server.held(1)
        assert await server.get(path) == (503, "too many blocking queries: 1 are held")
        assert await server.get(_HEALTH) == (200, []), "others are served"
        await server.put(_REGISTER, _service())


async def test_full_registry_refuses_with_503() -> None:
    async with _served(limits=RegistryLimits(catalog=CatalogLimits(services=0))) as server:
        assert await server.put(_REGISTER, _service()) == (503, "the registry is full: it holds 0 services")


async def test_body_over_the_limit_is_refused() -> None:
    async with _served() as server:
        status, text = await server.put(_REGISTER, {"Name": "n" * 70_000})
        assert (status, text) == (413, "Request body too large, max size: 65536 bytes")


async def test_body_that_does_not_come_is_refused() -> None:
    async with _served(limits=RegistryLimits(http=RegistryHttpLimits(body_timeout_s=0.05))) as server:
        host, port = server.runner.addresses[0][:2]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"PUT {_REGISTER} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{".encode())
        async with asyncio.timeout(5):
            assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        writer.close()
        await writer.wait_closed()


async def test_catalog_deregistration_needs_a_service() -> None:
    async with _served() as server:
        status, text = await server.put("/v1/catalog/deregister", {"Node": "embedded"})
        assert (status, text.split(":")[0]) == (400, "the embedded registry deregisters services only")


async def test_unknown_path_says_why() -> None:
    async with _served() as server:
        assert await server.get("/v1/session/list") == (
            404,
            "not in the part of Consul's API that the embedded registry speaks",
        )


async def test_index_starts_above_that_of_an_earlier_start() -> None:
    async with _served(first_index=None) as server:
        async with server.session.get(_HEALTH) as answer:
            first = int(answer.headers["X-Consul-Index"])
        assert first > 1_600_000_000_000
        assert len(str(first)) == 13


async def test_index_is_never_0() -> None:
    async with _served(first_index=0) as server, server.session.get(_HEALTH) as answer:
        assert answer.headers["X-Consul-Index"] == "1"


def _failing(times: int) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    left = iter(range(times))

    @web.middleware
    async def fail(request: web.Request, handler: Handler) -> web.StreamResponse:
        return web.Response(status=500) if next(left, None) is not None else await handler(request)

    return fail


async def test_middleware_of_a_test_comes_before_everything() -> None:
    async with _served(middlewares=[_failing(1)]) as server:
        assert (await server.get("/v1/nothing"))[0] == 500
        assert (await server.get("/v1/nothing"))[0] == 404


@pytest.mark.process
async def test_ten_thousand_instances_are_served() -> None:
    async with _served() as server:
        for number in range(10_000):
            service = Service(f"i{number}", "n", "10.0.0.1", 80, meta={"model": "m", "version": "1"})
            checks = (CheckDefinition(f"service:i{number}", "c", 10.0, "passing"),)
            server.agent.catalog.register(ServiceDefinition(service, checks), server.agent.clock())
        _, entries = await server.get(f"{_HEALTH}?passing")
        assert len(entries) == 10_000
