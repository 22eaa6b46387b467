from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from tests.deploy.compose.fake_engine import FakeEngine, FakeProxy, container, pretend_proxy
from tests.support.waiting import eventually
from tfleet.client.async_client import AsyncFleetClient
from tfleet.deploy.compose.autoscaler import Autoscaler, Scope
from tfleet.deploy.compose.events import ContainerEvent
from tfleet.deploy.compose.policy import ScalingDecision, ScalingRules
from tfleet.deploy.compose.worker_load import LoadReader

RULES = ScalingRules(least=1, most=4, target_busy=0.5, cooldown_s=10, stabilization_s=30)


@dataclass
class EventLog:
    lines: list[str] = field(default_factory=list)

    def decided(self, decision: ScalingDecision) -> None:
        self.lines.append(f"{decision.workers} -> {decision.wanted}")

    def undecided(self, reason: str) -> None:
        self.lines.append(f"none: {reason}")

    def container_event(self, event: ContainerEvent) -> None:
        if event.event != "gone":
            self.lines.append(str(event))


class Run:
    """An autoscaler for a pretended fleet, a look every ten seconds."""

    def __init__(self, proxy: FakeProxy, client: AsyncFleetClient, *, dry_run: bool = False) -> None:
        self.now_s = 0.0
        self.proxy = proxy
        self.engine = proxy.engine
        self.events = EventLog()
        readings = LoadReader(client, clock=lambda: self.now_s)
        self.scaler = Autoscaler(
            proxy.engine,
            readings,
            Scope("fleet", "worker"),
            RULES,
            self.events,
            interval_s=0.01,
            dry_run=dry_run,
            clock=lambda: self.now_s,
        )

    async def round(self, share: float) -> str:
        """Ten seconds in which each worker is busy for this share; the decision after them."""
        self.now_s += 10.0
        for one in self.engine.there.values():
            self.proxy.busy_s[one.number] = self.proxy.busy_s.get(one.number, 0.0) + 10 * share
        before = len(self.events.lines)
        await self.scaler.round()
        return self.events.lines[before]


@pytest.fixture
async def proxy() -> AsyncIterator[FakeProxy]:
    async with pretend_proxy(FakeEngine.of(container(1), container(2))) as proxy:
        yield proxy


@pytest.fixture
async def client(proxy: FakeProxy) -> AsyncIterator[AsyncFleetClient]:
    async with AsyncFleetClient(proxy.url, timeout_s=5) as client:
        yield client


async def test_a_fleet_follows_its_load_up_and_down(proxy: FakeProxy, client: AsyncFleetClient) -> None:
    run = Run(proxy, client)
    assert await run.round(0.9) == "2 -> 2", "nothing is known after one look"
    assert await run.round(0.9) == "2 -> 4"
    assert run.events.lines[-2:] == ["fleet-worker-3 is starting", "fleet-worker-4 is starting"]
    assert [await run.round(0.1) for _ in range(3)] == ["4 -> 4"] * 3, "so long the change is fresh"
    assert await run.round(0.1) == "4 -> 1"
    assert set(run.engine.calls[-6:]) == {
        *("stop 2", "remove 2", "stop 3", "remove 3", "stop 4", "remove 4"),
    }
    assert list(run.engine.there) == ["id-1"]
    assert run.scaler.current_run is None


async def test_a_dry_run_only_decides_again_and_again(proxy: FakeProxy, client: AsyncFleetClient) -> None:
    run = Run(proxy, client, dry_run=True)
    assert [await run.round(0.9) for _ in range(3)] == ["2 -> 2", "2 -> 4", "2 -> 4"]
    assert set(run.engine.calls) == {"workers"}


async def test_an_unreadable_worker_counts_for_nothing(proxy: FakeProxy, client: AsyncFleetClient) -> None:
    run = Run(proxy, client)
    proxy.states[2] = "ejected"
    assert [await run.round(0.9) for _ in range(3)] == ["2 -> 2"] * 3


async def test_without_proxy_or_engine_nothing_is_decided(proxy: FakeProxy, client: AsyncFleetClient) -> None:
    """It goes on, and looks again."""
    run = Run(proxy, client)
    await run.round(0.9)
    run.engine.trouble["workers"] = "no Docker engine answers"
    assert await run.round(0.9) == "none: no Docker engine answers"
    run.engine.trouble.clear()
    assert await run.round(0.9) == "2 -> 4", "what was counted in between is not lost"
    run.engine.there.clear()
    assert (await run.round(0.9)).startswith("none: there is no container of 'fleet'")


async def test_an_unreachable_proxy_means_no_decision(proxy: FakeProxy) -> None:
    async with AsyncFleetClient("127.0.0.1:1", timeout_s=5) as nowhere:
        run = Run(proxy, nowhere)
        assert await run.round(0.9) == "none: cannot reach http://127.0.0.1:1: connection refused"


async def test_autoscale_stops_at_once_and_names_draining_workers(
    proxy: FakeProxy, client: AsyncFleetClient
) -> None:
    run = Run(proxy, client)
    run.engine.there |= {f"id-{number}": container(number) for number in (3, 4, 5)}  # one more than the most
    run.engine.may_stop.clear()
    task = asyncio.ensure_future(run.scaler.run())

    async def stopping() -> bool:
        return run.engine.stopping.is_set()

    await eventually(stopping)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert run.scaler.current_run is not None
    assert [each.name for each in run.scaler.current_run.draining.values()] == ["fleet-worker-5"]
    run.engine.may_stop.set()
