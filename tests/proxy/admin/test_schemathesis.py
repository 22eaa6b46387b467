"""schemathesis drives a proxy in front of a worker by the proxy's OpenAPI document."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import settings
from tests.support.registered_workers import ready, register, workers
from tests.support.schemathesis_run import driven, finite_model
from tests.support.waiting import eventually
from tests.support.worker_http import serving
from tfleet.contract.address import Address
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]


@pytest.fixture
def worker() -> Iterator[Address]:
    with serving(finite_model(), name="wine") as (address, _):
        yield address


async def test_no_request_breaks_the_proxy_or_its_document(worker: Address, tmp_path: Path) -> None:
    with embedded_registry() as registry:
        await register(registry, worker, worker_id="w1", model="wine", version="1", ttl="600s")
        async with single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy:
            await eventually(lambda: workers(proxy), wanted=ready)
            assert await asyncio.to_thread(driven, proxy.url, tmp_path, examples=5) > 1000
            assert ready(await workers(proxy))
