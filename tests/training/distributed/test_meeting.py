"""Machines that meet by a registry, the embedded one and a real Consul."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.either_registry import REGISTRIES, either_registry
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.consul.key_values import ConsulKeyValues
from tfleet.training.distributed.errors import CannotTrainError, TrainingFailedError
from tfleet.training.distributed.meeting import WAIT_S, TrainingRun, meeting
from tfleet.training.distributed.places import MachinePlace

pytestmark = pytest.mark.process

RUN = TrainingRun("tfleet", "monday/1", machines=3, processes=2)
LONG_S = 60.0


@pytest.fixture(scope="module", params=REGISTRIES)
def registry(request: pytest.FixtureRequest) -> Iterator[Address]:
    with either_registry(request.param) as address:
        yield address


@pytest.fixture
async def store(registry: Address) -> AsyncIterator[ConsulKeyValues]:
    values = ConsulKeyValues(registry, wait_s=WAIT_S)
    yield values
    await values.close()


async def joined(
    store: ConsulKeyValues, run: TrainingRun, host: str, through: asyncio.Event, timeout_s: float
) -> MachinePlace:
    async with meeting(store, run, Address(host, 4000), timeout_s) as place:
        await through.wait()
        return place


async def keys(store: ConsulKeyValues, run: TrainingRun) -> list[str]:
    return sorted((await store.below(run.prefix, 0, WAIT_S)).values)


async def test_each_machine_gets_a_number_of_its_own(store: ConsulKeyValues) -> None:
    through = asyncio.Event()
    hosts = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(joined(store, RUN, host, through, LONG_S)) for host in hosts]
        await eventually(lambda: keys(store, RUN), wanted=lambda found: len(found) == 3)
        with pytest.raises(CannotTrainError, match=r"has its 3 machines already: .*10.0.0.2:4000"):
            await joined(store, RUN, "10.0.0.4", through, LONG_S)
        through.set()
    places = sorted((task.result() for task in tasks), key=lambda place: place.number)
    assert [place.number for place in places] == [0, 1, 2]
    assert sorted(place.host for place in places) == list(hosts)
    assert {place.coordinator for place in places} == {Address(places[0].host, 4000)}
    assert await keys(store, RUN) == []


async def test_who_does_not_come_is_waited_for_in_bounds(store: ConsulKeyValues) -> None:
    run = TrainingRun("tfleet", "alone", machines=2, processes=1)
    with pytest.raises(
        TrainingFailedError, match=r"waited 0.5 s for the 2 machines .* 1 came \(10.0.0.1:4000"
    ):
        await joined(store, run, "10.0.0.1", asyncio.Event(), 0.5)
    assert await keys(store, run) == []


async def test_a_machine_that_leaves_ends_who_waits_after_it(store: ConsulKeyValues) -> None:
    through = asyncio.Event()
    first = asyncio.create_task(joined(store, RUN, "10.0.0.1", through, LONG_S))
    await eventually(lambda: keys(store, RUN), wanted=bool)
    second = asyncio.create_task(joined(store, RUN, "10.0.0.2", through, LONG_S))
    await eventually(lambda: keys(store, RUN), wanted=lambda found: len(found) == 2)
    await asyncio.sleep(0.2)  # for an answer with both: nothing shows when it has come
    first.cancel()
    with pytest.raises(TrainingFailedError, match="machine 0 of run monday/1 has left before it began"):
        await second
    assert await keys(store, RUN) == []


async def test_machines_of_another_shape_are_refused(store: ConsulKeyValues) -> None:
    through = asyncio.Event()
    first = asyncio.create_task(joined(store, RUN, "10.0.0.1", through, LONG_S))
    await eventually(lambda: keys(store, RUN), wanted=bool)
    other = TrainingRun(RUN.service, RUN.name, machines=2, processes=2)
    with pytest.raises(CannotTrainError, match="was started with --machines 3 --processes 2"):
        await joined(store, other, "10.0.0.2", through, LONG_S)
    with pytest.raises(CannotTrainError, match="was started with --machines 2 --processes 2"):
        await first


async def test_a_key_of_somebody_else_is_no_machine(store: ConsulKeyValues) -> None:
    run = TrainingRun("tfleet", "broken", machines=2, processes=1)
    assert await store.put(run.key(0), b'{"host": "x"}', cas=0)
    with pytest.raises(CannotTrainError, match="can't be read: give another --run"):
        await joined(store, run, "10.0.0.1", asyncio.Event(), LONG_S)
    assert await keys(store, run) == [run.key(0)]
