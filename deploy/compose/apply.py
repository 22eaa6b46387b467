"""Carry out a plan: create and start containers, and drain and remove others, all at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tfleet.deploy.compose.clone import NotCopiableError
from tfleet.deploy.compose.container import Container
from tfleet.deploy.compose.daemon_thread import in_daemon_thread
from tfleet.deploy.compose.engine import AT_ONCE, Engine, EngineError
from tfleet.deploy.compose.events import ContainerEvent, Report
from tfleet.deploy.compose.plan import ScalePlan

_KILLED: Final = 137
_CLEAN_EXIT: Final = frozenset({0, 143})
"""143: SIGTERM came so early in the start that the worker had not installed its handler yet."""


class ScaleRun:
    """Carries out one plan. `draining` holds the containers that were told to stop and have not ended yet."""

    def __init__(
        self, engine: Engine, plan: ScalePlan, report: Report, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.draining: dict[str, Container] = {}
        self.outcome = ScaleOutcome()
        self._engine = engine
        self._plan = plan
        self._report = report
        self._clock = clock
        self._concurrency = asyncio.Semaphore(AT_ONCE)

    async def carry_out(self) -> ScaleOutcome:
        """Do all of it. A failure is reported and does not stop the rest."""
        await self._create()
        # Starts and stops run side by side: a drain may take a minute, and the new workers are needed now.
        async with asyncio.TaskGroup() as group:
            for container in [*self._plan.start, *self.outcome.created]:
                group.create_task(self._start(container))
            for container in self._plan.stop:
                group.create_task(self._stop(container))
        return self.outcome

    async def _create(self) -> None:
        # One after the other: if one fails, so will those that follow, and one error line is enough.
        for number in self._plan.new:
            try:
                self.outcome.created.append(
                    await in_daemon_thread(self._engine.create, self._plan.pattern, number)
                )
            except (EngineError, NotCopiableError) as error:
                self._failed(f"number {number}", f"could not be created: {error}")
                return

    async def _start(self, container: Container) -> None:
        async with self._concurrency:
            self._report(ContainerEvent(container.name, "starting"))
            try:
                await in_daemon_thread(self._engine.start, container)
                self.outcome.started.append(container)
            except EngineError as error:
                self._failed(container.name, f"could not be started: {error}")
                # A container that existed before stays: it may be of use to the operator.
                if container in self.outcome.created:
                    await self._remove_created(container)

    async def _remove_created(self, container: Container) -> None:
        try:
            await in_daemon_thread(self._engine.remove, container)
        except EngineError as error:
            self._failed(container.name, f"could not be removed: {error}")

    async def _stop(self, container: Container) -> None:
        async with self._concurrency:
            self.draining[container.id] = container
            self._report(ContainerEvent(container.name, "draining"))
            began_s = self._clock()
            try:
                code = await in_daemon_thread(self._engine.stop, container)
                if self._plan.keep != container:
                    await in_daemon_thread(self._engine.remove, container)
            except EngineError as error:
                del self.draining[container.id]
                self._failed(container.name, f"could not be stopped: {error}")
                return
            # No `finally`: if this is cancelled the container goes on draining, and the caller reports it.
            del self.draining[container.id]
            self.outcome.stopped.append(container)
            self._report(ContainerEvent(container.name, "gone", self._clock() - began_s))
            if error_text := _exit_error(container, code):
                self._failed(container.name, error_text)

    def _failed(self, name: str, error: str) -> None:
        self.outcome.failures.append(error)
        self._report(ContainerEvent(name, "failed", error=error))


@dataclass(slots=True)
class ScaleOutcome:
    """What was done so far. Failures were also reported as events when they happened."""

    created: list[Container] = field(default_factory=list)
    started: list[Container] = field(default_factory=list)
    stopped: list[Container] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def _exit_error(container: Container, code: int | None) -> str:
    """What was wrong with a container's end; empty if nothing was."""
    if code is None or code in _CLEAN_EXIT:
        return ""
    if code == _KILLED:
        return (
            f"it was killed because it had not ended within {container.stop_grace_s} s: requests may have "
            "been lost; see WORKER_STOP_GRACE"
        )
    return f"it ended with exit code {code}: its drain failed, and requests may have been lost"
