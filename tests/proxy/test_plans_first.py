"""A proxy that starts reads the plans before it uses workers: else a canary could get all requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from tests.proxy.forwarding.test_forwarder import post
from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import fake_worker, settings
from tests.support.planned_fleet import asked
from tests.support.registered_workers import ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.consul.key_values import ConsulKeyValues
from tfleet.discovery.plan import Plan, dump_plan, plan_key
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy

_SLOW_S = 0.3

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SlowKeys:
    """A registry that is slow to answer for keys, or fails to. `events` are in their order."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.events: list[str] = []

    @property
    def middleware(self) -> Callable[..., Awaitable[web.StreamResponse]]:
        @web.middleware
        async def slow(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith("/v1/health"):
                self.events.append("workers asked")
            if request.method != "GET" or not request.path.startswith("/v1/kv"):
                return await handler(request)
            if not self.events:
                await asyncio.sleep(_SLOW_S)
            answer = web.Response(status=500) if self.fails else await handler(request)
            self.events.append("plans answered")
            return answer

        return slow


async def write_plan(registry: Address, plan: Plan) -> None:
    store = ConsulKeyValues(registry, wait_s=10)
    try:
        assert await store.put(plan_key("tfleet", "lite0"), dump_plan(plan), cas=0)
    finally:
        await store.close()


async def test_a_proxy_asks_for_the_plans_first() -> None:
    keys = SlowKeys()
    with embedded_registry(keys.middleware) as registry:
        async with fake_worker() as old, fake_worker() as new:
            await register(registry, old.address, worker_id="old", version="1")
            await register(registry, new.address, worker_id="new", version="2")
            await write_plan(registry, Plan("1"))
            async with single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy:
                await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 2))
                assert keys.events[:2] == ["plans answered", "workers asked"]
                for _ in range(10):
                    assert (await post(proxy, data=b"x"))[0].status == 200
            assert (len(old.seen), len(new.seen)) == (10, 0)


async def test_one_version_is_served_without_plans_two_are_not() -> None:
    """The registry never answers for keys: between two versions the proxy does not guess."""
    keys = SlowKeys(fails=True)
    with embedded_registry(keys.middleware) as registry:
        async with fake_worker() as old, fake_worker() as new:
            await register(registry, old.address, worker_id="old", version="1")
            async with single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy:
                await eventually(lambda: workers(proxy), wanted=ready)
                assert (await post(proxy, data=b"x"))[0].status == 200
                await register(registry, new.address, worker_id="new", version="2")
                await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 2))
                answer, body = await post(proxy, data=b"x")
                assert answer.status == 503
                assert "has not read the plans" in str(body)
                for path in ("/v1/models/lite0/labels/prod", "/v2/models/lite0/ready"):
                    answer, text = await asked(proxy, path)
                    assert (answer.status, "has not read the plans" in text) == (503, True), path
                assert (await asked(proxy, "/v2/models/lite0/versions/2/ready"))[0].status == 200
                keys.fails = False
                await eventually(lambda: status(proxy), wanted=(200).__eq__)
                assert (await asked(proxy, "/v1/models/lite0/labels/prod"))[0].status == 400
                assert (await asked(proxy, "/v2/models/lite0/ready"))[0].status == 200
            assert (len(old.seen), len(new.seen)) == (1, 1), "the higher version, as without plans"


async def status(proxy: Address) -> int:
    return (await post(proxy, data=b"x"))[0].status
