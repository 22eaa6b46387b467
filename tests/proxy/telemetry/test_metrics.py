import os

from tests.proxy.admin.test_app import get
from tests.support.fake_worker import fake_worker, settings
from tfleet.proxy.server import single_process_proxy


async def test_the_metrics_tell_memory_descriptors_and_tasks() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        _, text = await get(proxy, "/metrics")
        found = {
            name: float(value)
            for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        }
    assert found["process_resident_memory_bytes"] > 10_000_000
    assert 5 < found["process_open_fds"] < found["process_max_fds"]
    assert 0 < found["process_cpu_seconds_total"] <= sum(os.times()[:2])
    assert 2 < found["tfleet_proxy_tasks"] < 50
