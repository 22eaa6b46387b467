"""The proxy shows operators which versions a `tfleet up --models` can't use."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import requests

from tests.proxy.admin.test_app import get
from tests.support.canned_server import nobody
from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import settings
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.registry import ConsulRegistry
from tfleet.discovery.reported_versions import VersionState, dump_report, report_key
from tfleet.proxy.server import single_process_proxy


async def document(proxy: Address, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((await get(proxy, path))[1])
    return found


async def test_operators_see_refused_versions_and_others_do_not() -> None:
    admin, now_s = nobody(), int(time.time())
    with embedded_registry() as registry:
        url = f"{registry.url}/v1/kv/{report_key(VersionState.REFUSED, 'tfleet', 'cat', '4')}"
        value = dump_report("it is cut off", "here:/m", now_s)
        (await asyncio.to_thread(requests.put, url, data=value, timeout=10)).raise_for_status()
        async with single_process_proxy(settings(registry=ConsulRegistry(registry), admin=admin)) as proxy:
            workers = await eventually(lambda: document(admin, "/workers"), wanted=lambda one: one["refused"])
            (row,) = workers["refused"]
            assert row.pop("confirmed_at").endswith("+00:00")
            assert row == {
                "model": "cat",
                "version": "4",
                "reason": "it is cut off",
                "by": "here:/m",
                "stale": False,
            }
            (model,) = (await document(admin, "/models"))["models"]
            assert (model["name"], model["versions"]) == ("cat", [])
            assert [each["version"] for each in model["refused"]] == ["4"]
            assert (await document(proxy, "/models")) == {"models": []}
