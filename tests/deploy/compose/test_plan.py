from __future__ import annotations

import pytest

from tests.deploy.compose.fake_engine import container
from tfleet.deploy.compose.container import Container
from tfleet.deploy.compose.plan import plan

STARTING = container(2, health="starting")
UNHEALTHY = container(1, health="unhealthy")
PAUSED = container(1, "paused")
EXITED = container(2, "exited")


def running(*numbers: int) -> list[Container]:
    return [container(number) for number in numbers]


@pytest.mark.parametrize(
    ("there", "wanted", "start", "new", "stop"),
    [
        (running(1), 3, [], [2, 3], []),
        (running(1, 2, 3), 3, [], [], []),
        (running(1, 2, 3), 1, [], [], [3, 2]),
        (running(1, 7), 3, [], [8], []),
        ([container(1), EXITED], 2, [2], [], []),
        ([container(1), EXITED, container(3)], 4, [2], [4], []),
        ([container(1), EXITED, container(3)], 2, [], [], []),
        ([container(1), EXITED, container(3)], 1, [], [], [3]),
        ([EXITED, container(3, "created")], 1, [2], [], []),
        ([UNHEALTHY, *running(2, 3)], 2, [], [], [1]),
        ([UNHEALTHY, *running(2, 3)], 1, [], [], [1, 3]),
        ([PAUSED, *running(2, 3)], 1, [], [], [1, 3]),
        ([container(1), STARTING, container(3)], 2, [], [], [2]),
        ([PAUSED, STARTING, container(3)], 1, [], [], [1, 2]),
    ],
)
def test_the_plan_is_a_function_of_wanted_and_found(
    there: list[Container], wanted: int, start: list[int], new: list[int], stop: list[int]
) -> None:
    planned = plan(there, wanted)
    assert [each.number for each in planned.start] == start
    assert list(planned.new) == new
    assert [each.number for each in planned.stop] == stop
    assert bool(planned) == bool(start or new or stop)
    assert planned.keep is None


@pytest.mark.parametrize(
    ("there", "pattern"),
    [
        (running(3, 2), 2),
        ([UNHEALTHY, STARTING], 2),
        ([STARTING, container(3)], 3),
        ([EXITED, container(3)], 3),
        ([EXITED], 2),
    ],
)
def test_the_healthiest_container_is_cloned(there: list[Container], pattern: int) -> None:
    assert plan(there, 9).pattern.number == pattern


def test_scaling_to_none_keeps_one_container_to_clone() -> None:
    planned = plan(running(1, 2), 0)
    assert [each.number for each in planned.stop] == [2, 1]
    assert planned.keep == container(1)
    assert plan([EXITED, container(3)], 0).keep is None, "there is one already"
    assert not plan([EXITED], 0)
