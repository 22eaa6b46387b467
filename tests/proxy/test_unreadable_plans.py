"""A proxy whose token may not read keys serves all the same, as if there were no plans, and says so once."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.proxy.forwarding.test_forwarder import post
from tests.support.fake_worker import fake_worker, settings
from tests.support.registered_workers import ready, workers
from tests.support.secured_consul import MASTER, secured_consul
from tests.support.waiting import eventually
from tfleet.discovery.consul.access import Access
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.instance import Instance
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy

pytestmark = pytest.mark.process

WITHOUT_KEYS = """
service "tfleet" { policy = "read" }
service "tfleet-proxy" { policy = "write" }
node_prefix "" { policy = "read" }
"""
WITH_KEYS = WITHOUT_KEYS + 'key_prefix "tfleet/tfleet/" { policy = "read" }'


async def test_a_proxy_that_may_not_read_keys_serves_and_says_so(tmp_path: Path) -> None:
    with secured_consul(tmp_path) as consul, capture_logs() as logs:
        token = consul.token(WITHOUT_KEYS)
        registry = ConsulRegistry(consul.http, Access(token))
        agent = ConsulAgent(consul.http, "tfleet", ttl_s=600, access=Access(MASTER))

        async def said(event: str) -> list[MutableMapping[str, Any]]:
            return [line for line in logs if line["event"] == event]

        async with fake_worker() as worker, single_process_proxy(settings(registry=registry)) as proxy:
            await asyncio.to_thread(agent.register, Instance("w1", worker.address, "m", "1"))
            await eventually(lambda: workers(proxy), wanted=ready)
            (line,) = await eventually(lambda: said("the plans can't be watched"))
            assert (await post(proxy, data=b"x"))[0].status == 200
            await asyncio.to_thread(consul.allow, token, WITH_KEYS)
            await eventually(lambda: said("the plans can be watched again"))
            assert (await post(proxy, data=b"x"))[0].status == 200
        assert await said("the plans can't be watched") == [line]
    assert line["log_level"] == "warning"
    assert 'key_prefix "tfleet/tfleet/" { policy = "read" }' in line["error"]
