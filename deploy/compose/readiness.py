"""Wait until containers are workers that get requests, according to Docker and the proxy."""

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
from tfleet.deploy.compose.daemon_thread import in_daemon_thread
from tfleet.deploy.compose.engine import Engine
from tfleet.deploy.compose.events import ContainerEvent, Report

_READY: Final = "ready"
_POLL_INTERVAL_S: Final = 0.5


def ready_workers(
    containers: Iterable[Container], workers: Iterable[WorkerStatus]
) -> Iterator[tuple[Container, WorkerStatus]]:
    """The containers that get requests, each with the proxy's status of its worker."""
    ready = {_host(worker): worker for worker in workers if worker.state == _READY}
    for container in containers:
        found = [ready[address] for address in container.addresses if address in ready]
        if container.state.status == "running" and container.state.health != "unhealthy" and found:
            yield container, found[0]


def why_not_ready(container: Container | None, workers: Sequence[WorkerStatus]) -> str:
    """Why a container gets no requests, in words."""
    if container is None:
        return "it is gone"
    if container.state.status != "running":
        return f"it is {container.state.status}, with exit code {container.state.exit_code}"
    if container.state.health == "unhealthy":
        return "it is unhealthy: see `docker inspect`"
    known = [worker for worker in workers if _host(worker) in container.addresses]
    if not known:
        return "the proxy does not know it yet"
    newest = known[-1]  # an address may have had several workers; the proxy lists the newest last
    return f"the proxy has it as {newest.state}" + (f": {newest.last_error}" if newest.last_error else "")


def has_failed(container: Container | None) -> bool:
    """Whether a container that was just started has ended, or is in a restart loop."""
    return container is None or not container.alive or container.state.restarts > 0


def _host(worker: WorkerStatus) -> str:
    try:
        return Address.parse(worker.address).host
    except BadAddressError:
        return ""


class ReadinessWait:
    """Waits until the containers `wanted`, all of one project, get requests; reports those in `new` as
    they do.
    """

    def __init__(
        self,
        engine: Engine,
        client: AsyncFleetClient,
        wanted: Sequence[Container],
        *,
        new: Collection[str],
        service: str,
        report: Report,
    ) -> None:
        self.missing: dict[str, str] = {container.name: "it was not checked yet" for container in wanted}
        """The containers that are not ready, by name, and why."""
        self._engine = engine
        self._client = client
        self._wanted = wanted
        self._new = set(new)
        self._service = service
        self._report = report

    async def wait(self, timeout_s: float) -> None:
        """Return when all are ready, when a new one has ended by itself, or after `timeout_s`.

        Raises EngineError.
        """
        began_s = time.monotonic()
        while not await self._look(began_s):
            if time.monotonic() - began_s >= timeout_s:
                return
            await asyncio.sleep(_POLL_INTERVAL_S)

    async def _look(self, began_s: float) -> bool:
        """Check once. Returns whether the wait is over."""
        found = {
            each.id: each
            for each in await in_daemon_thread(
                self._engine.workers, self._service, self._wanted[0].labels.project
            )
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
                self._report(ContainerEvent(container.name, "ready", time.monotonic() - began_s))
        self.missing = {
            container.name: unreachable or why_not_ready(found.get(container.id), workers)
            for container in self._wanted
            if container.id not in ready
        }
        dead = [each for each in self._wanted if each.id in self._new and has_failed(found.get(each.id))]
        for container in dead:
            line = await in_daemon_thread(self._engine.last_line, container)
            self.missing[container.name] = "it ended by itself" + (f": {line}" if line else "")
        return bool(dead) or not self.missing
