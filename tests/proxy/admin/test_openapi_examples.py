"""The examples of a proxy's document work through the proxy, and the answers are as it says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.embedded_registry import embedded_registry
from tests.support.fake_model import FakeModel
from tests.support.fake_worker import settings
from tests.support.openapi import OpenApiDocument
from tests.support.registered_workers import ready, register, workers
from tests.support.waiting import eventually
from tests.support.worker_http import serving
from tfleet.contract.address import Address
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy


@pytest.fixture
def worker() -> Iterator[Address]:
    with serving(FakeModel(), name="wine") as (address, _):
        yield address


async def test_every_example_is_answered_through_the_proxy(worker: Address) -> None:
    with embedded_registry() as registry:
        await register(registry, worker, worker_id="w1", model="wine", version="1")
        async with single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy:
            await eventually(lambda: workers(proxy), wanted=ready)
            document = await asyncio.to_thread(OpenApiDocument.of, proxy.url)
            seen = await asyncio.to_thread(document.check_examples, proxy.url)
    assert {"/predict", "/v1/models/wine/versions/1:predict", "/v2/models/wine/infer"} <= seen
    of_worker = await asyncio.to_thread(OpenApiDocument.of, worker.url)
    assert seen == {path for _, path, *_ in of_worker.examples()}
    assert document.content["components"] == of_worker.content["components"], "both read the same page"
