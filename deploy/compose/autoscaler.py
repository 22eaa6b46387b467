"""The control loop of `tfleet autoscale`: read the load, decide, scale, and wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tfleet.client.errors import FleetError
from tfleet.deploy.compose.apply import ScaleRun
from tfleet.deploy.compose.container import Container
from tfleet.deploy.compose.daemon_thread import in_daemon_thread
from tfleet.deploy.compose.engine import Engine, EngineError
from tfleet.deploy.compose.events import ContainerEvent
from tfleet.deploy.compose.plan import alive, plan
from tfleet.deploy.compose.policy import ScalingDecision, ScalingHistory, ScalingRules, decide
from tfleet.deploy.compose.project import NoSuchProjectError, workers_of
from tfleet.deploy.compose.worker_load import LoadReader


class EventLog(Protocol):
    """Receives all decisions and events."""

    def decided(self, decision: ScalingDecision) -> None:
        """A decision was made."""

    def undecided(self, reason: str) -> None:
        """No decision was possible this time."""

    def container_event(self, event: ContainerEvent) -> None:
        """Something happened to a container."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The containers to scale: a compose project, and the name of a service in it."""

    project: str
    service: str


class Autoscaler:
    """Keeps a service at the right size. With `dry_run` it only decides."""

    def __init__(
        self,
        engine: Engine,
        loads: LoadReader,
        scope: Scope,
        rules: ScalingRules,
        events: EventLog,
        *,
        interval_s: float,
        dry_run: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.current_run: ScaleRun | None = None
        """The change that is in progress."""
        self._engine = engine
        self._loads = loads
        self._scope = scope
        self._rules = rules
        self._events = events
        self._interval_s = interval_s
        self._dry_run = dry_run
        self._clock = clock
        self._past = ScalingHistory()

    async def run(self) -> None:
        """Decide every `interval_s`, until cancelled."""
        while True:
            began_s = self._clock()
            await self.round()
            await asyncio.sleep(max(0.0, began_s + self._interval_s - self._clock()))

    async def round(self) -> None:
        """Make one decision and carry it out; report it if Docker or the proxy does not answer."""
        try:
            # Read again in every round: the operator may scale by hand at any time.
            containers = await in_daemon_thread(self._containers)
            living = alive(containers)
            loads = await self._loads.read(living)
            decision, self._past = decide(self._rules, len(living), loads, self._past, self._clock())
            self._events.decided(decision)
            if decision.wanted != decision.workers and not self._dry_run:
                scale_plan = plan(containers, decision.wanted)
                self.current_run = ScaleRun(self._engine, scale_plan, self._events.container_event)
                # No decision before it is done: while workers drain, their load says nothing.
                await self.current_run.carry_out()
                self.current_run = None
        except (EngineError, FleetError, NoSuchProjectError) as error:
            # No guess without figures: a proxy that restarts must not shrink the fleet.
            self._events.undecided(str(error))

    def _containers(self) -> list[Container]:
        scope = self._scope
        return workers_of(self._engine, named=scope.project, service=scope.service, folder="")
