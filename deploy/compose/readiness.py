"""Whether containers are workers that get requests, as engine and proxy have it together. Pure.

Waits until containers are workers that get requests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.errors import FleetError
from tfleet.client.worker_status import WorkerStatus
from tfleet.contract.address import Address, BadAddressError
from tfleet.deploy.compose.container import Container
from tfleet.deploy.compose.engine import Engine
from tfleet.deploy.compose.events import ContainerEvent, Tell
from tfleet.deploy.compose.threads import aside

_READY = "ready"


def ready_workers(
    containers: Iterable[Container], workers: Iterable[WorkerStatus]
) -> Iterator[tuple[Container, WorkerStatus]]:
    """The containers that get requests, each with the proxy's row of the worker in it."""
    ready = {_host(worker): worker for worker in workers if worker.state == _READY}
    for container in containers:
        at_work = [ready[address] for address in container.addresses if address in ready]
        if container.state == "running" and container.health != "unhealthy" and at_work:
            yield container, at_work[0]


def why_not(container: Container | None, workers: Sequence[WorkerStatus]) -> str:
    """Why it gets none, in words."""
    if container is None:
        return "it is gone"
    if container.state != "running":
        return f"it is {container.state}, with exit code {container.exit_code}"
    if container.health == "unhealthy":
        return "it is unhealthy: see `docker inspect`"
    known = [worker for worker in workers if _host(worker) in container.addresses]
    if not known:
        return "the proxy does not know it yet"
    newest = known[-1]  # rows come in the order in which the proxy met them
    return f"the proxy has it as {newest.state}" + (f": {newest.last_error}" if newest.last_error else "")


def broken(container: Container | None) -> bool:
    """Whether one that was just started has ended, perhaps to be started again and again."""
    return container is None or not container.alive or container.restarts > 0


def _host(worker: WorkerStatus) -> str:
    try:
        return Address.parse(worker.address).host
    except BadAddressError:
        return ""


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
                self._tell(ContainerEvent(container.name, "ready", time.monotonic() - began_s))
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
