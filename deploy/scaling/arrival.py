"""Waits until containers are workers that get requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Final

from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.errors import FleetError
from tfleet.client.worker_status import WorkerStatus
from tfleet.deploy.scaling.aside import aside
from tfleet.deploy.scaling.container import Container
from tfleet.deploy.scaling.engine import Engine
from tfleet.deploy.scaling.news import News, Tell
from tfleet.deploy.scaling.presence import broken, ready_workers, why_not

_LOOK_EVERY_S: Final = 0.5


class Arrival:
    """Of the containers `wanted`, of one project; the `new` ones among them are told of."""

    def __init__(
        self,
        engine: Engine,
        client: AsyncFleetClient,
        wanted: Sequence[Container],
        *,
        new: Collection[str],
        service: str,
        tell: Tell,
    ) -> None:
        self.missing: dict[str, str] = {container.name: "nobody has looked yet" for container in wanted}
        """Who is not there, by name, and why."""
        self._engine = engine
        self._client = client
        self._wanted = wanted
        self._new = set(new)
        self._service = service
        self._tell = tell

    async def wait(self, timeout_s: float) -> None:
        """Return when all are there, when a new one has ended by itself, and after so long in any case.

        Raises EngineError.
        """
        began_s = time.monotonic()
        while not await self._look(began_s):
            if time.monotonic() - began_s >= timeout_s:
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self, began_s: float) -> bool:
        """Whether there is nothing to wait for any more."""
        found = {
            each.id: each
            for each in await aside(self._engine.workers, self._service, self._wanted[0].project)
        }
        workers: tuple[WorkerStatus, ...] = ()
        unreachable = ""
        try:
            workers = await self._client.workers()
        except FleetError as error:
            unreachable = str(error)
        ready = {container.id for container, _ in ready_workers(found.values(), workers)}
        for container in self._wanted:
            if container.id in ready and container.id in self._new:
                self._new.remove(container.id)
                self._tell(News(container.name, "ready", time.monotonic() - began_s))
        self.missing = {
            container.name: unreachable or why_not(found.get(container.id), workers)
            for container in self._wanted
            if container.id not in ready
        }
        dead = [each for each in self._wanted if each.id in self._new and broken(found.get(each.id))]
        for container in dead:
            line = await aside(self._engine.last_line, container)
            self.missing[container.name] = "it ended by itself" + (f": {line}" if line else "")
        return bool(dead) or not self.missing
