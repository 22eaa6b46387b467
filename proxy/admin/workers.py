"""`GET /workers`: the table behind `tfleet status`.

What the proxy's pages say of it: its figures, and the workers that it knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tfleet.discovery.instance import Instance
from tfleet.proxy.balancing.pool import PoolMember, WorkerState
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.telemetry.metrics import ProxyMetrics, exposition


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One worker as a proxy knows it."""

    instance: Instance
    state: WorkerState
    weight: float
    listed: bool
    in_flight: int
    failures: int
    last_error: str


def worker_rows(fleet: WorkerTable) -> tuple[WorkerRow, ...]:
    """All workers the proxy knows, in the order in which it met them."""
    return tuple(_row(fleet, member) for member in fleet.pool.members.values())


def document(rows: Sequence[WorkerRow]) -> dict[str, object]:
    """As it is told."""
    return {"workers": [_fields(row) for row in rows]}


def workers_document(fleet: WorkerTable) -> dict[str, object]:
    """All workers the proxy knows, as it is told."""
    return document(worker_rows(fleet))


def _row(fleet: WorkerTable, member: PoolMember) -> WorkerRow:
    return WorkerRow(
        instance=member.instance,
        state=member.state,
        weight=fleet.weight(member),
        listed=member.listed,
        in_flight=fleet.in_flight(member.id),
        failures=member.failures,
        last_error=member.last_error,
    )


def _fields(row: WorkerRow) -> dict[str, object]:
    return {
        "id": row.instance.id,
        "address": str(row.instance.address),
        "wan": None if row.instance.wan is None else str(row.instance.wan),
        "model": row.instance.model,
        "version": row.instance.version,
        "state": row.state,
        "weight": round(row.weight, 2),
        "listed": row.listed,
        "in_flight": row.in_flight,
        "failures": row.failures,
        "last_error": row.last_error,
    }


class Report(Protocol):
    """Raises ProblemError where it can't be had."""

    async def metrics(self) -> bytes:
        """`GET /metrics`."""

    async def workers(self) -> dict[str, object]:
        """`GET /workers`."""


class OwnReport:
    """That of a proxy which is one process."""

    def __init__(self, fleet: WorkerTable, metrics: ProxyMetrics) -> None:
        self._fleet = fleet
        self._metrics = metrics

    async def metrics(self) -> bytes:
        return await asyncio.to_thread(lambda: exposition(self._metrics.families()))  # it reads /proc

    async def workers(self) -> dict[str, object]:
        return workers_document(self._fleet)
