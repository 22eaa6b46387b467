from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.deploy.compose.pretend import PretendEngine, PretendProxy, container, pretend_proxy
from tests.support.canned import nobody
from tests.support.waiting import eventually
from tfleet.client.async_client import AsyncFleetClient
from tfleet.deploy.compose.events import ContainerEvent
from tfleet.deploy.compose.readiness import Arrival

ONE, TWO = container(1), container(2)


@pytest.fixture
async def proxy() -> AsyncIterator[PretendProxy]:
    async with pretend_proxy(PretendEngine.of(ONE, TWO)) as proxy:
        yield proxy


async def wait(proxy: PretendProxy, timeout_s: float = 20.0, url: str = "") -> tuple[Arrival, list[str]]:
    told: list[ContainerEvent] = []
    async with AsyncFleetClient(url or proxy.url) as client:
        arrival = Arrival(proxy.engine, client, [ONE, TWO], new={TWO.id}, service="worker", tell=told.append)
        await arrival.wait(timeout_s)
    return arrival, [f"{news.container} {news.event}" for news in told]


async def test_it_returns_once_all_are_ready_and_names_new_ones(proxy: PretendProxy) -> None:
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


async def test_at_the_deadline_it_names_the_missing_and_why(proxy: PretendProxy) -> None:
    proxy.states[2] = "starting"
    arrival, told = await wait(proxy, timeout_s=0.1)
    assert arrival.missing == {"fleet-worker-2": "the proxy has it as starting: /readyz answers 503"}
    assert told == []


async def test_an_old_one_is_waited_for_as_well(proxy: PretendProxy) -> None:
    proxy.states[1] = "ejected"
    arrival, _ = await wait(proxy, timeout_s=0.1)
    assert list(arrival.missing) == ["fleet-worker-1"]


async def test_a_new_one_that_ends_by_itself_is_not_waited_for(proxy: PretendProxy) -> None:
    proxy.engine.there[TWO.id] = container(2, "restarting", restarts=1)
    began_s = time.monotonic()
    arrival, _ = await wait(proxy)
    assert time.monotonic() - began_s < 10
    assert arrival.missing == {"fleet-worker-2": "it ended by itself: the last line of 2"}


async def test_a_proxy_that_can_t_be_asked_is_the_reason(proxy: PretendProxy) -> None:
    where = nobody()
    arrival, _ = await wait(proxy, timeout_s=0.1, url=where.url)
    assert set(arrival.missing.values()) == {f"cannot reach {where.url}: connection refused"}
