"""Looks, decides and scales, again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tfleet.client.errors import FleetError
from tfleet.deploy.compose.apply import ScaleRun
from tfleet.deploy.compose.container import Container
from tfleet.deploy.compose.engine import Engine, EngineError
from tfleet.deploy.compose.events import ContainerEvent
from tfleet.deploy.compose.load import Readings
from tfleet.deploy.compose.plan import alive, plan
from tfleet.deploy.compose.policy import ScalingDecision, ScalingHistory, ScalingRules, decide
from tfleet.deploy.compose.project import NoSuchProjectError, workers_of
from tfleet.deploy.compose.threads import aside


class EventLog(Protocol):
    """Who is told of everything."""

    def decided(self, decision: ScalingDecision) -> None: ...

    def undecided(self, reason: str) -> None:
        """Nothing could be decided this time."""

    def news(self, news: ContainerEvent) -> None: ...


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose containers: of this project, which is known, and this service of it."""

    project: str
    service: str


class Autoscaler:
    """Keeps a service at the right size. With `dry_run` it only decides."""

    def __init__(
        self,
        engine: Engine,
        readings: Readings,
        scope: Scope,
        rules: ScalingRules,
        diary: EventLog,
        *,
        interval_s: float,
        dry_run: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.change: ScaleRun | None = None
        """The one that is under way."""
        self._engine = engine
        self._readings = readings
        self._scope = scope
        self._rules = rules
        self._diary = diary
        self._interval_s = interval_s
        self._dry_run = dry_run
        self._clock = clock
        self._past = ScalingHistory()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            began_s = self._clock()
            await self.round()
            await asyncio.sleep(max(0.0, began_s + self._interval_s - self._clock()))

    async def round(self) -> None:
        """One decision, and what follows from it; none where the engine or the proxy does not answer."""
        try:
            containers = await aside(self._containers)
            living = alive(containers)
            loads = await self._readings.read(living)
            decision, self._past = decide(self._rules, len(living), loads, self._past, self._clock())
            self._diary.decided(decision)
            if decision.wanted != decision.workers and not self._dry_run:
                self.change = ScaleRun(self._engine, plan(containers, decision.wanted), self._diary.news)
                await self.change.carry_out()
                self.change = None
        except (EngineError, FleetError, NoSuchProjectError) as error:
            self._diary.undecided(str(error))

    def _containers(self) -> list[Container]:
        scope = self._scope
        return workers_of(self._engine, named=scope.project, service=scope.service, folder="")
