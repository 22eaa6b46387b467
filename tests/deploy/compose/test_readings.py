from __future__ import annotations

from tests.deploy.compose.pretend import PretendEngine, container, pretend_proxy
from tfleet.client.async_client import AsyncFleetClient
from tfleet.deploy.compose.load import Readings, WorkerLoad


async def test_loads_are_differences_between_two_readings() -> None:
    """Of those workers that can be read both times."""
    engine = PretendEngine.of(*map(container, range(1, 6)))
    now = [100.0]
    async with pretend_proxy(engine) as proxy, AsyncFleetClient(proxy.url) as client:
        proxy.busy_s = {1: 50.0, 2: 7.0, 3: 1.0, 4: 3.0}  # 5 gives no metrics
        proxy.states[3] = "ejected"
        readings = Readings(client, clock=lambda: now[0])
        containers = list(engine.there.values())
        assert await readings.read(containers) == (), "the first look says nothing of any time"
        now[0] = 110.0
        proxy.busy_s = {1: 55.0, 2: 8.0, 3: 1.0, 4: 3.0}
        proxy.queue[2] = 5
        assert await readings.read(containers[:3]) == (WorkerLoad(0.5, 0), WorkerLoad(0.1, 5)), (
            "4 is none of ours"
        )
        proxy.states.clear()
        now[0] = 120.0
        assert await readings.read(containers) == (WorkerLoad(0.0, 0), WorkerLoad(0.0, 5)), (
            "3 and 4 are new again"
        )
