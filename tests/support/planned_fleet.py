"""A proxy in front of fake workers of several models and versions, of which `m` has a plan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import requests
from yarl import URL

from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import FakeWorker, fake_worker, settings
from tests.support.registered_workers import ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.plan import Plan, dump_plan, plan_key
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.settings import Mode


@asynccontextmanager
async def fleet_of(
    *labels: str, mode: Mode = "p2p", within: Address | None = None, **chosen: Any
) -> AsyncIterator[tuple[Address, dict[str, FakeWorker]]]:
    """A proxy, and a ready worker of each version, written `MODEL/VERSION`.

    `m` has the plan that version 1 is `prod`, and version 2 the stable one. It is `within` a registry, or in
    one of its own.
    """
    async with AsyncExitStack() as stack:
        registry = within or stack.enter_context(embedded_registry())
        await write_plan(registry, Plan("2", labels={"prod": "1"}))
        served = {}
        for label in labels:
            served[label] = worker = await stack.enter_async_context(fake_worker())
            worker.name = label
            model, version = label.split("/")
            await register(registry, worker.address, worker_id=label, model=model, version=version)
        options = settings(registry=ConsulRegistry(registry), mode=mode, **chosen)
        proxy = await stack.enter_async_context(single_process_proxy(options))
        await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, len(labels)))

        async def planned() -> str:
            return (await asked(proxy, "/models"))[1]

        await eventually(planned, wanted=lambda text: '"prod": "1"' in text)
        yield proxy, served


async def write_plan(registry: Address, plan: Plan) -> None:
    """Write the plan of `m`."""
    url = f"{registry.url}/v1/kv/{plan_key('tfleet', 'm')}"
    (await asyncio.to_thread(requests.put, url, data=dump_plan(plan), timeout=10)).raise_for_status()


async def asked(
    proxy: Address,
    path: str,
    *,
    method: str = "GET",
    accept: str = "application/json",
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[aiohttp.ClientResponse, str]:
    """The answer to a request, and its text. Redirects are not followed."""
    sent = {"Accept": accept, **(headers or {})}
    async with (
        aiohttp.ClientSession() as session,
        # The path goes out as it is: else letters that are escaped without need would not be any more.
        session.request(
            method, URL(proxy.url + path, encoded=True), headers=sent, data=data, allow_redirects=False
        ) as answer,
    ):
        return answer, await answer.text()
