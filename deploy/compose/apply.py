"""Carries a plan out: starts what is to be started, drains and removes what has to leave, all at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tfleet.deploy.compose.clone import NotCopiableError
from tfleet.deploy.compose.container import Container
from tfleet.deploy.compose.engine import AT_ONCE, Engine, EngineError
from tfleet.deploy.compose.events import ContainerEvent, Tell
from tfleet.deploy.compose.plan import ScalePlan
from tfleet.deploy.compose.threads import aside

_KILLED: Final = 137
_IN_ORDER: Final = frozenset({0, 143})
"""143 is one that was not far enough in its start to take SIGTERM for anything but its end."""


class ScaleRun:
    """One plan. `draining` is who has been asked to leave and has not ended yet."""

    def __init__(
        self, engine: Engine, plan: ScalePlan, tell: Tell, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.draining: dict[str, Container] = {}
        self.outcome = ScaleOutcome()
        self._engine = engine
        self._plan = plan
        self._tell = tell
        self._clock = clock
        self._room = asyncio.Semaphore(AT_ONCE)

    async def carry_out(self) -> ScaleOutcome:
        """What fails is told and does not hold up the rest."""
        await self._make()
        async with asyncio.TaskGroup() as group:
            for container in [*self._plan.start, *self.outcome.made]:
                group.create_task(self._start(container))
            for container in self._plan.stop:
                group.create_task(self._stop(container))
        return self.outcome

    async def _make(self) -> None:
        """One after the other: where one fails, so would those that follow."""
        for number in self._plan.new:
            try:
                self.outcome.made.append(await aside(self._engine.make, self._plan.pattern, number))
            except (EngineError, NotCopiableError) as error:
                self._failed(f"number {number}", f"could not be made: {error}")
                return

    async def _start(self, container: Container) -> None:
        async with self._room:
            self._tell(ContainerEvent(container.name, "starting"))
            try:
                await aside(self._engine.start, container)
                self.outcome.started.append(container)
            except EngineError as error:
                self._failed(container.name, f"could not be started: {error}")
                if container in self.outcome.made:
                    await self._take_back(container)

    async def _take_back(self, container: Container) -> None:
        try:
            await aside(self._engine.remove, container)
        except EngineError as error:
            self._failed(container.name, f"could not be removed: {error}")

    async def _stop(self, container: Container) -> None:
        async with self._room:
            self.draining[container.id] = container
            self._tell(ContainerEvent(container.name, "draining"))
            began_s = self._clock()
            try:
                code = await aside(self._engine.stop, container)
                if self._plan.keep != container:
                    await aside(self._engine.remove, container)
            except EngineError as error:
                del self.draining[container.id]
                self._failed(container.name, f"could not be stopped: {error}")
                return
            del self.draining[container.id]  # not where this is cancelled: then it goes on by itself
            self.outcome.stopped.append(container)
            self._tell(ContainerEvent(container.name, "gone", self._clock() - began_s))
            if wrong := _wrong(container, code):
                self._failed(container.name, wrong)

    def _failed(self, name: str, error: str) -> None:
        self.outcome.failures.append(error)
        self._tell(ContainerEvent(name, "failed", error=error))


@dataclass(slots=True)
class ScaleOutcome:
    """What was done so far. A failure is told where it happens, in its line."""

    made: list[Container] = field(default_factory=list)
    started: list[Container] = field(default_factory=list)
    stopped: list[Container] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def _wrong(container: Container, code: int | None) -> str:
    """What was wrong with its end, empty where nothing was."""
    if code is None or code in _IN_ORDER:
        return ""
    if code == _KILLED:
        return (
            f"it was killed, since it had not ended within {container.stop_grace_s} s: requests may have "
            "been lost; see WORKER_STOP_GRACE"
        )
    return f"it ended with exit code {code}: its drain was not in order, and requests may have been lost"
