from __future__ import annotations

import pytest

from tests.deploy.compose.fake_engine import FakeEngine, container, page, pretend_proxy
from tfleet.client.async_client import AsyncFleetClient
from tfleet.deploy.compose.worker_load import (
    LoadCounters,
    LoadReader,
    WorkerLoad,
    load_between,
    read_counters,
)


def test_busy_seconds_and_both_queues_are_read_from_the_metrics() -> None:
    assert read_counters(page(12.5, 7), at_s=3.0) == LoadCounters(12.5, 7, 3.0)
    assert read_counters(page(1.5e-05, 0), at_s=3.0) == LoadCounters(1.5e-05, 0, 3.0)


@pytest.mark.parametrize(
    "text", ["", "<html>", page(1, 2).replace("busy", "lazy"), page(1, 2).replace("1.0", "many")]
)
def test_a_missing_figure_is_unknown(text: str) -> None:
    assert read_counters(text, at_s=3.0) is None


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (LoadCounters(10, 0, 100), LoadCounters(15, 3, 120), WorkerLoad(0.25, 3)),
        (LoadCounters(10, 9, 100), LoadCounters(10, 0, 120), WorkerLoad(0.0, 0)),
        (
            LoadCounters(10, 0, 100),
            LoadCounters(30.5, 0, 120),
            WorkerLoad(1.0, 0),
        ),  # clocks are not that exact
        (LoadCounters(10, 0, 100), LoadCounters(9.9, 0, 120), WorkerLoad(0.0, 0)),
        (LoadCounters(10, 0, 100), LoadCounters(10, 0, 100), None),
        (None, LoadCounters(10, 0, 100), None),
        (LoadCounters(10, 0, 100), None, None),
    ],
)
def test_a_load_needs_two_readings(
    before: LoadCounters | None, now: LoadCounters | None, expected: WorkerLoad | None
) -> None:
    assert load_between(before, now) == expected


async def test_loads_are_differences_between_two_readings() -> None:
    """Of those workers that can be read both times."""
    engine = FakeEngine.of(*map(container, range(1, 6)))
    now = [100.0]
    async with pretend_proxy(engine) as proxy, AsyncFleetClient(proxy.url) as client:
        proxy.busy_s = {1: 50.0, 2: 7.0, 3: 1.0, 4: 3.0}  # 5 gives no metrics
        proxy.states[3] = "ejected"
        readings = LoadReader(client, clock=lambda: now[0])
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
