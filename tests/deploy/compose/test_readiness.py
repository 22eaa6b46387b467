from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.deploy.compose.fake_engine import FakeEngine, FakeProxy, container, pretend_proxy
from tests.support.canned_server import nobody
from tests.support.waiting import eventually
from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.worker_status import WorkerStatus
from tfleet.deploy.compose.container import Container
from tfleet.deploy.compose.events import ContainerEvent
from tfleet.deploy.compose.readiness import ReadinessWait, has_failed, ready_workers, why_not_ready

ONE, TWO = container(1), container(2)


@pytest.fixture
async def proxy() -> AsyncIterator[FakeProxy]:
    async with pretend_proxy(FakeEngine.of(ONE, TWO)) as proxy:
        yield proxy


async def wait(proxy: FakeProxy, timeout_s: float = 20.0, url: str = "") -> tuple[ReadinessWait, list[str]]:
    told: list[ContainerEvent] = []
    async with AsyncFleetClient(url or proxy.url) as client:
        arrival = ReadinessWait(
            proxy.engine, client, [ONE, TWO], new={TWO.id}, service="worker", report=told.append
        )
        await arrival.wait(timeout_s)
    return arrival, [f"{news.container} {news.event}" for news in told]


@pytest.mark.process
async def test_waiting_ends_when_all_workers_are_ready(proxy: FakeProxy) -> None:
    proxy.states[2] = "starting"

    async def looks() -> int:
        return proxy.engine.calls.count("workers")

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(wait(proxy))
        await eventually(looks, wanted=lambda found: found >= 2)
        assert not waiting.done()
        proxy.states.clear()
    arrival, told = waiting.result()
    assert arrival.missing == {}
    assert told == ["fleet-worker-2 ready"]


async def test_at_the_deadline_it_names_the_missing_and_why(proxy: FakeProxy) -> None:
    proxy.states[2] = "starting"
    arrival, told = await wait(proxy, timeout_s=0.1)
    assert arrival.missing == {"fleet-worker-2": "the proxy has it as starting: /readyz answers 503"}
    assert told == []


async def test_an_old_worker_is_waited_for_as_well(proxy: FakeProxy) -> None:
    proxy.states[1] = "ejected"
    arrival, _ = await wait(proxy, timeout_s=0.1)
    assert list(arrival.missing) == ["fleet-worker-1"]


async def test_a_new_worker_that_ends_is_not_waited_for(proxy: FakeProxy) -> None:
    proxy.engine.there[TWO.id] = container(2, "restarting", restarts=1)
    began_s = time.monotonic()
    arrival, _ = await wait(proxy)
    assert time.monotonic() - began_s < 10
    assert arrival.missing == {"fleet-worker-2": "it ended by itself: the last line of 2"}


async def test_a_proxy_that_can_t_be_asked_is_the_reason(proxy: FakeProxy) -> None:
    where = nobody()
    arrival, _ = await wait(proxy, timeout_s=0.1, url=where.url)
    assert set(arrival.missing.values()) == {f"cannot reach {where.url}: connection refused"}


def worker(number: int, state: str = "ready", last_error: str = "") -> WorkerStatus:
    return WorkerStatus(f"w{number}", f"10.0.0.{number}:8000", state=state, last_error=last_error)


def test_a_running_worker_ready_in_the_proxy_gets_requests() -> None:
    one, starting = container(1), container(3, health="starting")
    others = [container(2, health="unhealthy"), container(4, "paused"), container(5), container(6, "exited")]
    rows = [worker(1), worker(2), worker(3), worker(4), worker(5, "ejected"), worker(9)]
    assert list(ready_workers([one, starting, *others], rows)) == [(one, rows[0]), (starting, rows[2])]


def test_a_stale_entry_at_its_address_does_not_count() -> None:
    rows = [worker(1), WorkerStatus("stale", "10.0.0.1:8000", state="ejected")]
    assert list(ready_workers([container(1)], rows)) == [(container(1), rows[0])]
    assert list(ready_workers([container(1)], rows[1:])) == []


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (None, "it is gone"),
        (container(1, "exited", exit_code=2), "it is exited, with exit code 2"),
        (container(1, health="unhealthy"), "it is unhealthy: see `docker inspect`"),
        (container(1), "the proxy has it as ejected: connection refused"),
        (container(2), "the proxy has it as starting"),
        (container(3), "the proxy does not know it yet"),
    ],
)
def test_a_worker_without_requests_has_a_reason(one: Container | None, reason: str) -> None:
    rows = [
        worker(1, "draining"),
        worker(1, "ejected", "connection refused"),
        worker(2, "starting"),
        WorkerStatus("w7", "nonsense"),
    ]
    assert why_not_ready(one, rows) == reason


def test_a_restarted_container_counts_as_broken() -> None:
    assert not has_failed(container(1))
    assert not has_failed(container(1, "paused"))
    for one in (
        None,
        container(1, "exited"),
        container(1, restarts=1),
        container(1, "restarting", restarts=1),
    ):
        assert has_failed(one)
