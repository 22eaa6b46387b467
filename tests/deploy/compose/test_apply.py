from __future__ import annotations

import asyncio

import pytest

from tests.deploy.compose.fake_engine import FakeEngine, container
from tests.support.waiting import eventually
from tfleet.deploy.compose.apply import ScaleRun
from tfleet.deploy.compose.events import ContainerEvent
from tfleet.deploy.compose.plan import plan


def change(engine: FakeEngine, wanted: int) -> tuple[ScaleRun, list[ContainerEvent]]:
    told: list[ContainerEvent] = []
    ticks = iter(range(0, 1000, 2))
    planned = plan(list(engine.there.values()), wanted)
    return ScaleRun(engine, planned, told.append, clock=lambda: float(next(ticks))), told


def lines(told: list[ContainerEvent]) -> list[str]:
    return sorted(map(str, told))


async def test_stopped_workers_start_and_others_are_cloned() -> None:
    engine = FakeEngine.of(container(1), container(2, "exited"))
    going, told = change(engine, 4)
    outcome = await going.carry_out()
    assert engine.calls[:2] == ["create 3", "create 4"]
    assert sorted(engine.calls[2:]) == ["start 2", "start 3", "start 4"]
    assert sorted(each.number for each in outcome.started) == [2, 3, 4]
    assert lines(told) == [f"fleet-worker-{number} is starting" for number in (2, 3, 4)]


async def test_a_worker_is_stopped_before_it_is_removed() -> None:
    engine = FakeEngine.of(*map(container, (1, 2, 3)))
    going, told = change(engine, 1)
    outcome = await going.carry_out()
    assert [call for call in engine.calls if call.endswith("3")] == ["stop 3", "remove 3"]
    assert sorted(engine.calls) == ["remove 2", "remove 3", "stop 2", "stop 3"]
    assert list(engine.there) == ["id-1"]
    assert (sorted(each.number for each in outcome.stopped), outcome.failures) == ([2, 3], [])
    assert lines(told)[0] == "fleet-worker-2 is draining"
    assert lines(told)[1].startswith("fleet-worker-2 is gone, after ")


async def test_workers_drain_at_the_same_time() -> None:
    engine = FakeEngine.of(*map(container, (1, 2, 3)))
    engine.may_stop.clear()
    going, _ = change(engine, 1)

    async def draining() -> set[str]:
        return {each.name for each in going.draining.values()}

    async with asyncio.TaskGroup() as group:
        group.create_task(going.carry_out())
        await eventually(draining, wanted=lambda found: found == {"fleet-worker-2", "fleet-worker-3"})
        await eventually(_calls(engine), wanted=lambda calls: calls == {"stop 2", "stop 3"})
        engine.may_stop.set()
    assert going.draining == {}


def _calls(engine: FakeEngine):  # type: ignore[no-untyped-def] # a look for `eventually`
    async def look() -> set[str]:
        return set(engine.calls)

    return look


async def test_scaling_to_0_keeps_one_stopped_container() -> None:
    engine = FakeEngine.of(container(1), container(2))
    going, _ = change(engine, 0)
    await going.carry_out()
    assert [(each.number, each.state.status) for each in engine.there.values()] == [(1, "exited")]


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        (0, ""),
        (143, ""),  # before it took SIGTERM for anything but its end
        (137, "it was killed because it had not ended within 30 s: requests may have been lost"),
        (1, "it ended with exit code 1: its drain failed"),
    ],
)
async def test_a_container_with_a_bad_exit_code_is_a_failure(code: int, wrong: str) -> None:
    engine = FakeEngine.of(container(1), container(2))
    engine.exit_codes["id-2"] = code
    going, told = change(engine, 1)
    outcome = await going.carry_out()
    assert bool(outcome.failures) == bool(wrong)
    assert str(told[-1]).startswith(f"fleet-worker-2: {wrong}" if wrong else "fleet-worker-2 is gone")
    assert "id-2" not in engine.there, "it is removed all the same"


async def test_a_failure_is_reported_and_the_rest_goes_on() -> None:
    engine = FakeEngine.of(container(1), container(2, "exited"))
    engine.trouble = {"start 3": "the port is taken", "create 5": "no memory"}
    going, told = change(engine, 6)
    outcome = await going.carry_out()
    assert sorted(each.number for each in outcome.started) == [2, 4]
    assert "create 6" not in engine.calls, "it would fail, too"
    assert sorted(engine.there) == ["id-1", "id-2", "id-4"], "what can't be started is removed again"
    failed = [str(news) for news in told if news.event == "failed"]
    assert failed == [
        "number 5: could not be created: no memory",
        "fleet-worker-3: could not be started: the port is taken",
    ]
    assert len(outcome.failures) == 2


async def test_an_engine_lost_midway_is_one_reported_error() -> None:
    engine = FakeEngine.of(container(1))
    engine.trouble = {"start 2": "no engine", "remove 2": "still no engine"}
    going, told = change(engine, 2)
    outcome = await going.carry_out()
    assert [str(news) for news in told if news.event == "failed"] == [
        "fleet-worker-2: could not be started: no engine",
        "fleet-worker-2: could not be removed: still no engine",
    ]
    assert len(outcome.failures) == 2


async def test_a_container_that_cannot_be_stopped_stays() -> None:
    engine = FakeEngine.of(container(1), container(2), container(3))
    engine.trouble = {"stop 3": "the engine is busy"}
    going, told = change(engine, 1)
    outcome = await going.carry_out()
    assert sorted(engine.there) == ["id-1", "id-3"]
    assert [each.number for each in outcome.stopped] == [2]
    assert "fleet-worker-3: could not be stopped: the engine is busy" in lines(told)
    assert going.draining == {}
