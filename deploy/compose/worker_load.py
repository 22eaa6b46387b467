"""Read the load of workers in containers, from each worker's own metrics.

The metrics come through the proxy, which reaches every worker: on Docker Desktop, or from another machine,
the containers' addresses lead nowhere. The proxy's own counts won't do: it does not see the requests of p2p
mode.
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
    """A worker's counters at `at_s`: seconds in which it was busy since its start, and requests that wait
    in it.
    """

    busy_s: float
    queue: int
    at_s: float


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """`busy` (0 to 1) is the share of the time in which the worker had work; `queue` is the number of
    requests that waited at the end.
    """

    busy: float
    queue: int


def read_counters(page: str, at_s: float) -> LoadCounters | None:
    """Read a worker's /metrics page; None if it lacks the counters, as an older worker's does."""
    samples = dict(_SAMPLE.findall(page))
    try:
        busy_s = float(samples[_BUSY])
        queue = sum(int(float(samples[name])) for name in _QUEUES)
    except (KeyError, ValueError, OverflowError):
        return None
    return LoadCounters(busy_s, queue, at_s)


def load_between(before: LoadCounters | None, now: LoadCounters | None) -> WorkerLoad | None:
    """The load between two readings of one worker; None if there are not two."""
    if before is None or now is None or now.at_s <= before.at_s:
        return None
    share = (now.busy_s - before.busy_s) / (now.at_s - before.at_s)
    return WorkerLoad(min(1.0, max(0.0, share)), now.queue)


class LoadReader:
    """Reads the load of each worker since the last reading."""

    def __init__(self, client: AsyncFleetClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._last: dict[str, LoadCounters] = {}

    async def read(self, containers: Iterable[Container]) -> tuple[WorkerLoad, ...]:
        """The loads since the last reading. Workers that are starting, that do not answer, or that are
        read for the first time are left out. Raises FleetError if the proxy does not list its workers.
        """
        ids = [worker.id for _, worker in ready_workers(containers, await self._client.workers())]
        async with asyncio.TaskGroup() as group:
            tasks = {worker_id: group.create_task(self._counters(worker_id)) for worker_id in ids}
        counters = {
            worker_id: found for worker_id, task in tasks.items() if (found := task.result()) is not None
        }
        loads = [load_between(self._last.get(worker_id), found) for worker_id, found in counters.items()]
        self._last = counters
        return tuple(load for load in loads if load is not None)

    async def _counters(self, worker_id: str) -> LoadCounters | None:
        try:
            page = await self._client.worker_metrics(worker_id)
        except FleetError:
            return None
        return read_counters(page, self._clock())
