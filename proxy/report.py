"""What the proxy's pages say of it: its figures, and the workers that it knows."""

from __future__ import annotations

import asyncio
from typing import Protocol

from tfleet.proxy.fleet import Fleet
from tfleet.proxy.metrics import Metrics, exposition
from tfleet.proxy.status import workers_document


class Report(Protocol):
    """Raises ProblemError where it can't be had."""

    async def metrics(self) -> bytes:
        """`GET /metrics`."""

    async def workers(self) -> dict[str, object]:
        """`GET /workers`."""


class OwnReport:
    """That of a proxy which is one process."""

    def __init__(self, fleet: Fleet, metrics: Metrics) -> None:
        self._fleet = fleet
        self._metrics = metrics

    async def metrics(self) -> bytes:
        return await asyncio.to_thread(lambda: exposition(self._metrics.families()))  # it reads /proc

    async def workers(self) -> dict[str, object]:
        return workers_document(self._fleet)
