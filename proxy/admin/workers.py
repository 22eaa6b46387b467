"""What the proxy's pages say of it: whether it is ready, its figures, and the workers that it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tfleet.discovery.instance import Instance
from tfleet.proxy.balancing.member import PoolMember, WorkerState, answers_as
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.readiness import Readiness
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

    def answers_as(self, name: str | None) -> bool:
        """Whether an answer under this name is the worker's own (see pool.Member.answers_as)."""
        return answers_as(self.instance, name)


def worker_rows(fleet: WorkerTable) -> tuple[WorkerRow, ...]:
    """All workers the proxy knows, in the order in which it met them."""
    return tuple(_row(fleet, member) for member in fleet.pool.members.values())


def document(rows: Sequence[WorkerRow]) -> dict[str, object]:
    """What `GET /workers` says."""
    return {"workers": [_fields(row) for row in rows]}


def _row(fleet: WorkerTable, member: PoolMember) -> WorkerRow:
    return WorkerRow(
        instance=member.instance,
        state=member.state,
        weight=fleet.weight(member),
        listed=member.entry.listed,
        in_flight=fleet.in_flight(member.id),
        failures=member.ejection.failures,
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


class ProxyStatus(Protocol):
    """What a proxy says of itself; its methods raise ProblemError where that can't be had."""

    @property
    def name(self) -> str:
        """The id under which the proxy is registered; empty where it is not."""

    async def missing(self) -> str | None:
        """Why the proxy is not ready, in one line, or None."""

    async def metrics(self) -> bytes:
        """Its figures, as Prometheus reads them."""

    async def workers(self) -> Sequence[WorkerRow]:
        """All workers that it knows."""


class LocalStatus:
    """That of a proxy which is one process."""

    def __init__(self, fleet: WorkerTable, metrics: ProxyMetrics, readiness: Readiness) -> None:
        self._fleet = fleet
        self._metrics = metrics
        self._readiness = readiness

    @property
    def name(self) -> str:
        return self._readiness.name

    async def missing(self) -> str | None:
        return self._readiness.missing(self._fleet)

    async def metrics(self) -> bytes:
        return await asyncio.to_thread(lambda: exposition(self._metrics.families()))  # it reads /proc

    async def workers(self) -> Sequence[WorkerRow]:
        return worker_rows(self._fleet)
