"""A worker that a registry in order has not listed for a minute gets nothing any more."""

import time

import pytest

from tests.proxy.balancing.test_maintenance import asked
from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import fake_worker, settings
from tests.support.registered_workers import deregister, ready, register, workers
from tests.support.waiting import eventually
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy

pytestmark = pytest.mark.process


@pytest.mark.timeout(180)
async def test_a_deregistered_live_worker_is_out_after_a_minute() -> None:
    with embedded_registry() as registry:
        async with fake_worker() as own, fake_worker() as stranger:
            own.name, stranger.name = "w1", "stranger"
            async with single_process_proxy(
                settings(slow_start_s=0, registry=ConsulRegistry(registry))
            ) as proxy:
                await register(registry, own.address, ttl="3m")
                await register(registry, stranger.address, worker_id="stranger", ttl="3m")
                await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 2))
                await deregister(registry, "stranger")
                began_s = time.monotonic()
                await eventually(
                    lambda: workers(proxy),
                    wanted=lambda rows: {row["id"]: row["listed"] for row in rows}["stranger"] is False,
                )
                assert (await asked(proxy)).keys() == {"w1", "stranger"}, "at first it stays in use"
                await eventually(lambda: workers(proxy), wanted=ready, timeout_s=120)
                assert 58 < time.monotonic() - began_s < 100
                assert await asked(proxy) == {"w1": 20}
