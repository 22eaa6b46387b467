"""A proxy in front of fake workers of two versions of the model `m`, of which one is the canary."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import FakeWorker, fake_worker, settings
from tests.support.registered_workers import ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.consul.key_values import ConsulKeyValues
from tfleet.discovery.plan import Canary, Plan, dump_plan, plan_key
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy

OUTPUTS = b'{"success":true,"outputs":{"y":[1.5,2.5]}}'
"""What both workers answer, unless told otherwise."""


@dataclass
class MirroringProxy:
    """The proxy, and its two fake workers."""

    address: Address
    registry: Address
    stable: FakeWorker
    canary: FakeWorker

    async def model(self) -> dict[str, Any]:
        """What the proxy says of the model."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.address.url}/models") as answer:
            (model,) = (await answer.json())["models"]
            found: dict[str, Any] = model
            return found

    async def counted(self, total: int) -> dict[str, float]:
        """The results that are not 0, as soon as there are so many in all, and the largest difference."""

        async def results() -> dict[str, float]:
            mirrored = (await self.model())["mirrored"] or {}
            return {name: number for name, number in mirrored.items() if number and name != "version"}

        def complete(found: dict[str, float]) -> bool:
            return sum(number for name, number in found.items() if name != "largest_difference") >= total

        return await eventually(results, wanted=complete)

    async def post(self, path: str = "/predict", data: bytes = b"{}") -> aiohttp.ClientResponse:
        """The answer to a request; it has to be the stable version's, or an error."""
        async with aiohttp.ClientSession() as session:
            async with session.post(self.address.url + path, data=data) as answer:
                await answer.read()
                return answer

    async def plan(self, plan: Plan) -> None:
        """Write the plan, and wait until the proxy follows it."""
        store = ConsulKeyValues(self.registry, wait_s=10)
        try:
            key = plan_key("tfleet", "m")
            found = (await store.below(key, 0, 10)).values.get(key)
            assert await store.put(key, dump_plan(plan), cas=0 if found is None else found.modify_index)
        finally:
            await store.close()
        shown = plan.canary.mirror if plan.canary else None

        async def mirror() -> float | None:
            now = (await self.model())["plan"] or {"mirror": -1.0}
            found: float | None = now.get("mirror")
            return found

        await eventually(mirror, wanted=lambda found: found == shown)


def answers(worker: FakeWorker, body: bytes, *, status: int = 200, kind: str = "application/json") -> None:
    """From now on the worker answers this, and notes what it is asked."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        worker.ids.append(request.headers.get("X-Request-Id", ""))
        headers = {"X-Worker": worker.name, "Content-Type": kind}
        return web.Response(status=status, body=body, headers=headers)

    worker.answer = answer


@contextlib.asynccontextmanager
async def mirroring_proxy(
    canary: Canary, *, stateful: str = "", canary_address: Address | None = None, **limits: Any
) -> AsyncIterator[MirroringProxy]:
    """The proxy follows the plan inside the block. `canary_address` stands in for the canary's worker."""
    with embedded_registry() as registry:
        async with fake_worker() as one, fake_worker() as two:
            for number, worker in ((1, one), (2, two)):
                worker.name = f"w{number}"
                answers(worker, OUTPUTS)
                address = canary_address if canary_address and number == 2 else worker.address
                await register(
                    registry,
                    address,
                    worker_id=worker.name,
                    model="m",
                    version=str(number),
                    stateful=stateful,
                )
            options = settings(registry=ConsulRegistry(registry), slow_start_s=0.0, **limits)
            async with single_process_proxy(options) as address:
                await eventually(lambda: workers(address), wanted=lambda rows: ready(rows, 2))
                proxy = MirroringProxy(address, registry, one, two)
                await proxy.plan(Plan("1", canary))
                yield proxy
