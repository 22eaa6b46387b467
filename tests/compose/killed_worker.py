"""A worker that was killed."""

import asyncio
import time
from dataclasses import dataclass

from docker.models.containers import Container

from tests.compose.slow_load import trickle, without_requests
from tests.support.compose_project import Project


@dataclass(frozen=True)
class KilledWorker:
    """Its id, when it was killed, by time.monotonic(), and how long it still got requests."""

    id: str
    killed_s: float
    out_of_routing_s: float


async def kill(fleet: Project, victim: Container) -> KilledWorker:
    """Kill it under a trickle of which nothing is lost."""
    worker_id = fleet.worker_id(victim)
    async with trickle(fleet):
        killed_s = time.monotonic()
        await asyncio.to_thread(victim.kill)
        await without_requests(fleet, worker_id)
        return KilledWorker(worker_id, killed_s, time.monotonic() - killed_s)
