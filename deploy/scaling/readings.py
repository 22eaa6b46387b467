"""Reads what the workers in containers have to do, by way of the proxy.

The proxy reaches every worker, whoever asks may not: on Docker Desktop, or from another machine, containers'
addresses lead nowhere. And it is the worker's own word: the proxy sees nothing of p2p mode.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.errors import FleetError
from tfleet.deploy.scaling.container import Container
from tfleet.deploy.scaling.load import Counted, Load, load_between, read_counted
from tfleet.deploy.scaling.presence import ready_workers


class Readings:
    """Remembers the last look at each worker."""

    def __init__(self, client: AsyncFleetClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._last: dict[str, Counted] = {}

    async def read(self, containers: Iterable[Container]) -> tuple[Load, ...]:
        """The loads of those that are known, since the last look. Who is still starting, can't be asked, or
        is looked at for the first time is left out. Raises FleetError where the proxy gives no table.
        """
        ids = [worker.id for _, worker in ready_workers(containers, await self._client.workers())]
        async with asyncio.TaskGroup() as group:
            tasks = {worker_id: group.create_task(self._look(worker_id)) for worker_id in ids}
        looks = {worker_id: look for worker_id, task in tasks.items() if (look := task.result()) is not None}
        loads = [load_between(self._last.get(worker_id), look) for worker_id, look in looks.items()]
        self._last = looks
        return tuple(load for load in loads if load is not None)

    async def _look(self, worker_id: str) -> Counted | None:
        try:
            page = await self._client.worker_metrics(worker_id)
        except FleetError:
            return None
        return read_counted(page, self._clock())
