"""What a worker has to do, from its own metrics. Pure.

Reads what the workers in containers have to do, by way of the proxy.

The proxy reaches every worker, whoever asks may not: on Docker Desktop, or from another machine, containers'
addresses lead nowhere. And it is the worker's own word: the proxy sees nothing of p2p mode.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.errors import FleetError
from tfleet.deploy.compose.container import Container
from tfleet.deploy.compose.readiness import ready_workers

_BUSY: Final = "tfleet_worker_busy_seconds_total"
_QUEUES: Final = ("tfleet_worker_queue_requests", "tfleet_worker_waiting")
_SAMPLE: Final = re.compile(r"^(\w+) (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LoadCounters:
    """One look at a worker: for how long it has been busy in its life, how many requests wait in it."""

    busy_s: float
    queue: int
    at_s: float


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """`busy` is the share of the time, 0 to 1, in which it had at least one image to work on; `queue` is how
    many waited at the end of it.
    """

    busy: float
    queue: int


def read_counted(page: str, at_s: float) -> LoadCounters | None:
    """From the page of metrics; None where it does not say it, as an older worker's."""
    samples = dict(_SAMPLE.findall(page))
    try:
        busy_s = float(samples[_BUSY])
        queue = sum(int(float(samples[name])) for name in _QUEUES)
    except (KeyError, ValueError, OverflowError):
        return None
    return LoadCounters(busy_s, queue, at_s)


def load_between(before: LoadCounters | None, now: LoadCounters | None) -> WorkerLoad | None:
    """From two looks at one worker; None where there are no two of them."""
    if before is None or now is None or now.at_s <= before.at_s:
        return None
    share = (now.busy_s - before.busy_s) / (now.at_s - before.at_s)
    return WorkerLoad(min(1.0, max(0.0, share)), now.queue)


class Readings:
    """Remembers the last look at each worker."""

    def __init__(self, client: AsyncFleetClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._last: dict[str, LoadCounters] = {}

    async def read(self, containers: Iterable[Container]) -> tuple[WorkerLoad, ...]:
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

    async def _look(self, worker_id: str) -> LoadCounters | None:
        try:
            page = await self._client.worker_metrics(worker_id)
        except FleetError:
            return None
        return read_counted(page, self._clock())
