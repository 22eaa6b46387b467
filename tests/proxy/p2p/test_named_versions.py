"""Lookups, leases and redirects of a fleet of several versions name the one that was asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
import requests

from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import FakeWorker, fake_worker, settings
from tests.support.registered_workers import ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.contract.ticket_keys import KeyFile
from tfleet.discovery.plan import Plan, dump_plan, plan_key
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.settings import Mode

SERVED = ("m/1", "m/2", "other/7")


@asynccontextmanager
async def fleet_of(
    *labels: str, mode: Mode = "p2p", ticket_keys: KeyFile | None = None
) -> AsyncIterator[tuple[Address, dict[str, FakeWorker]]]:
    """A proxy, and a ready worker of each version; `m` has the plan that version 1 is `prod`."""
    async with AsyncExitStack() as stack:
        registry = stack.enter_context(embedded_registry())
        url = f"{registry.url}/v1/kv/{plan_key('tfleet', 'm')}"
        document = dump_plan(Plan("2", labels={"prod": "1"}))
        (await asyncio.to_thread(requests.put, url, data=document, timeout=10)).raise_for_status()
        served = {}
        for label in labels:
            served[label] = worker = await stack.enter_async_context(fake_worker())
            worker.name = label
            model, version = label.split("/")
            await register(registry, worker.address, worker_id=label, model=model, version=version)
        chosen = settings(registry=ConsulRegistry(registry), mode=mode, ticket_keys=ticket_keys)
        proxy = await stack.enter_async_context(single_process_proxy(chosen))
        await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, len(labels)))

        async def planned() -> str:
            return (await asked(proxy, "/models"))[1]

        await eventually(planned, wanted=lambda text: '"prod": "1"' in text)
        yield proxy, served


async def asked(
    proxy: Address, path: str, *, method: str = "GET", accept: str = "application/json"
) -> tuple[aiohttp.ClientResponse, str]:
    headers = {"Accept": accept}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, proxy.url + path, headers=headers, allow_redirects=False) as answer,
    ):
        return answer, await answer.text()


def named(row: dict[str, Any]) -> str:
    return f"{row['model']}/{row['version']}"


@pytest.mark.parametrize(
    ("query", "label"),
    [
        ("model=m", "m/2"),
        ("model=m&version=1", "m/1"),
        ("model=m&label=prod", "m/1"),
        ("model=m&label=stable", "m/2"),
        ("model=other", "other/7"),
    ],
)
async def test_a_lookup_and_a_lease_name_the_version(query: str, label: str) -> None:
    async with fleet_of(*SERVED) as (proxy, served):
        answer, text = await asked(proxy, f"/worker?{query}")
        assert (answer.headers["X-Model"], answer.headers["X-Worker"]) == (label, label)
        assert named(json.loads(text)) == label
        rows = json.loads((await asked(proxy, f"/worker?n=8&{query}"))[1])["workers"]
        assert [(named(row), row["address"]) for row in rows] == [(label, str(served[label].address))]


@pytest.mark.parametrize(
    ("path", "target", "label"),
    [
        ("/models/m/predict?top=2", "/models/m/predict?top=2", "m/2"),
        ("/models/m/versions/1/predict", "/models/m/versions/1/predict", "m/1"),
        ("/models/m/labels/prod/predict?x=a%20b", "/models/m/versions/1/predict?x=a%20b", "m/1"),
        ("/models/m/labels/stable", "/models/m/versions/2", "m/2"),
    ],
)
async def test_a_redirect_goes_to_the_version_without_labels(path: str, target: str, label: str) -> None:
    async with fleet_of(*SERVED) as (proxy, served):
        answer, _ = await asked(proxy, path, method="POST")
        assert (answer.status, answer.headers["X-Model"], answer.headers["X-Worker"]) == (307, label, label)
        assert answer.headers["Location"] == served[label].address.url + target


@pytest.mark.parametrize("path", ["/worker?model=m&label=x", "/worker?n=2&model=m&version=9", "/models/x"])
async def test_what_there_is_not_is_a_404_with_names(path: str) -> None:
    async with fleet_of(*SERVED) as (proxy, _):
        answer, text = await asked(proxy, path)
        assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
        assert "there is " in json.loads(text)["detail"]


async def test_a_forwarded_label_is_answered_by_its_version() -> None:
    async with fleet_of(*SERVED, mode="forward") as (proxy, served):
        answer, _ = await asked(proxy, "/models/m/labels/prod/predict?top=1", method="POST")
        assert (answer.status, answer.headers["X-Worker"]) == (200, "m/1")
        assert [seen.path for seen in served["m/1"].seen] == ["/models/m/versions/1/predict?top=1"]
