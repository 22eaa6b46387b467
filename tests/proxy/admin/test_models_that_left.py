"""A model whose last worker has left a moment ago is not ready on any page, as for predictions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import fake_worker, settings
from tests.support.planned_fleet import asked
from tests.support.registered_workers import deregister, ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[Address]:
    """A proxy of models `here` and `gone`; the worker of the second has left."""
    async with AsyncExitStack() as stack:
        registry = stack.enter_context(embedded_registry())
        here = await stack.enter_async_context(fake_worker())
        await register(registry, here.address, worker_id="here", model="here", version="3")
        proxy = await stack.enter_async_context(
            single_process_proxy(settings(registry=ConsulRegistry(registry)))
        )
        async with fake_worker() as gone:
            await register(registry, gone.address, worker_id="gone", model="gone", version="3")
            await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 2))
        await deregister(registry, "gone")
        await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 1))
        yield proxy


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/models/gone:predict"),
        ("GET", "/v1/models/gone/metadata"),
        ("GET", "/v2/models/gone"),
        ("GET", "/v2/models/gone/ready"),
        ("GET", "/v2/models/gone/versions/3/ready"),
        ("POST", "/v2/models/gone/infer"),
        ("POST", "/v2/repository/models/gone/load"),
    ],
)
async def test_what_has_left_is_not_ready(proxy: Address, method: str, path: str) -> None:
    answer, text = await asked(proxy, path, method=method)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1"), text
    other, text = await asked(proxy, path.replace("gone", "nobody"), method=method)
    assert other.status == 404, text


async def test_what_has_left_is_listed_with_its_end(proxy: Address) -> None:
    _, models = await asked(proxy, "/v1/models")
    assert json.loads(models) == {"models": ["gone", "here"]}
    _, status = await asked(proxy, "/v1/models/gone")
    reason = "its last worker has left"
    assert json.loads(status) == {
        "model_version_status": [
            {"version": "3", "state": "END", "status": {"error_code": "OK", "error_message": reason}}
        ],
        "ready": False,
    }
    _, index = await asked(proxy, "/v2/repository/index", method="POST")
    assert json.loads(index)[0] == {"name": "gone", "version": "3", "state": "UNAVAILABLE", "reason": reason}
