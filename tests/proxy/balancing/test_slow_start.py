import asyncio

import pytest

from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import fake_worker, settings
from tests.support.registered_workers import register, workers
from tests.support.waiting import eventually
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.balancing.slow_start import SlowStart
from tfleet.proxy.server import single_process_proxy

WINDOW_S = 10.0
STARTED = SlowStart(WINDOW_S).after(1, [], 100.0)
"""A fleet whose first worker became ready at 100 s."""
SLOW_START_S = 2.0


@pytest.mark.parametrize(
    ("now_s", "warm_at_s"),
    [(100.0, 100.0), (109.9, 109.9), (110.0, 120.0), (500.0, 510.0)],
    ids=["the first", "still within the first window", "after it", "long after it"],
)
def test_a_worker_of_a_starting_fleet_is_warm_at_once(now_s: float, warm_at_s: float) -> None:
    assert STARTED.warm_at_s(now_s) == warm_at_s


def test_the_first_worker_is_warm_at_once() -> None:
    assert SlowStart(WINDOW_S).warm_at_s(500.0) == 500.0
    assert STARTED.after(0, [], 200.0).warm_at_s(500.0) == 500.0


def test_later_workers_do_not_move_the_fleets_start() -> None:
    assert STARTED.after(2, [], 109.0).warm_at_s(111.0) == 121.0


@pytest.mark.parametrize(
    ("age_s", "turn"),
    [(0.0, 0.1), (0.5, 0.1), (1.0, 0.1), (2.5, 0.25), (7.5, 0.75), (10.0, 1.0), (99.0, 1.0)],
)
def test_a_turn_grows_evenly_from_a_tenth(age_s: float, turn: float) -> None:
    two = STARTED.after(2, [510.0], 500.0)
    assert two.weight(510.0, 500.0 + age_s) == pytest.approx(turn)
    assert two.weight(100.0, 500.0 + age_s) == 1.0
    assert two.uneven(500.0 + age_s) is (age_s < WINDOW_S)


def test_without_a_warm_worker_the_warmest_has_full_weight() -> None:
    both_cold = STARTED.after(2, [505.0, 510.0], 501.0)
    assert both_cold.weight(505.0, 502.0) == 1.0
    assert both_cold.weight(510.0, 502.0) == pytest.approx(0.2 / 0.7)
    assert both_cold.uneven(507.0)
    alone = STARTED.after(1, [510.0], 501.0)
    assert alone.weight(510.0, 501.0) == 1.0


def test_without_slow_start_every_worker_is_warm_at_once() -> None:
    off = SlowStart(0.0).after(1, [], 100.0)
    assert off.warm_at_s(500.0) == 500.0
    assert not off.uneven(500.0)


@pytest.mark.process
async def test_a_new_worker_starts_slowly_in_a_busy_fleet() -> None:
    with embedded_registry() as registry:
        async with fake_worker() as worker:
            async with single_process_proxy(
                settings(registry=ConsulRegistry(registry), slow_start_s=SLOW_START_S)
            ) as proxy:

                async def weight(worker_id: str) -> object:
                    return next((row["weight"] for row in await workers(proxy) if row["id"] == worker_id), 0)

                await register(registry, worker.address, worker_id="w1")
                assert await eventually(lambda: weight("w1")) == 1
                await asyncio.sleep(SLOW_START_S)  # at work means for the length of a slow start
                await register(registry, worker.address, worker_id="w2")
                assert await eventually(lambda: weight("w2")) < 1  # type: ignore[operator] # a number in JSON
                await eventually(lambda: weight("w2"), wanted=lambda found: found == 1)
