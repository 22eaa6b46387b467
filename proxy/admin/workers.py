"""What the proxy's pages show: whether it is ready, its metrics and its workers."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tfleet.discovery.instance import Instance
from tfleet.proxy.balancing.member import PoolMember, WorkerState, answers_as
from tfleet.proxy.balancing.mirror_counts import MirrorCount
from tfleet.proxy.balancing.model_router import ModelRouter
from tfleet.proxy.balancing.versions import ModelVersion
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
        """Whether an answer under this name is the worker's own (see balancing/member.py)."""
        return answers_as(self.instance, name)


def worker_rows(workers: WorkerTable) -> tuple[WorkerRow, ...]:
    """Return all workers of the proxy, in the order in which they were added."""
    return tuple(_row(workers, member) for member in workers.pool.members.values())


def document(
    rows: Sequence[WorkerRow],
    refused: Sequence[dict[str, object]] = (),
    stand_ins: Sequence[dict[str, object]] = (),
    jobs: Sequence[dict[str, object]] = (),
) -> dict[str, object]:
    """What `GET /workers` says.

    `refused` are the versions that no worker can use, `stand_ins` those of a plan that have no ready worker,
    `jobs` the figures of each Redis that keeps jobs.
    """
    lists = {"refused": list(refused), "stand_ins": list(stand_ins), "jobs": list(jobs)}
    return {"workers": [_fields(row) for row in rows], **lists}


def _row(workers: WorkerTable, member: PoolMember) -> WorkerRow:
    return WorkerRow(
        instance=member.instance,
        state=member.state,
        weight=workers.weight(member),
        listed=member.entry.listed,
        in_flight=workers.in_flight(member.id),
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
        "kind": row.instance.kind,
        "stateful": row.instance.stateful,
        "state": row.state,
        "weight": round(row.weight, 2),
        "listed": row.listed,
        "in_flight": row.in_flight,
        "failures": row.failures,
        "last_error": row.last_error,
    }


class ProxyStatus(Protocol):
    """The state of a proxy. Its methods raise ProblemError if the state is not available."""

    @property
    def name(self) -> str:
        """The id under which the proxy is registered; empty where it is not."""

    async def missing(self) -> str | None:
        """Why the proxy is not ready, in one line, or None."""

    async def metrics(self) -> bytes:
        """Its figures, as Prometheus reads them."""

    async def workers(self) -> Sequence[WorkerRow]:
        """All workers that it knows."""

    def mirrored(self) -> Mapping[ModelVersion, MirrorCount]:
        """What came of mirrored requests, by canary. Call it after `workers`, which asks for news."""

    def left(self) -> Collection[ModelVersion]:
        """The versions of workers that have left a moment ago. Call it after `workers`."""


class LocalStatus:
    """The state of a proxy of one process."""

    def __init__(self, router: ModelRouter, metrics: ProxyMetrics, readiness: Readiness) -> None:
        self._router = router
        self._workers = router.table
        self._metrics = metrics
        self._readiness = readiness

    @property
    def name(self) -> str:
        return self._readiness.name

    async def missing(self) -> str | None:
        return self._readiness.missing(self._workers)

    async def metrics(self) -> bytes:
        return await asyncio.to_thread(lambda: exposition(self._metrics.families()))  # it reads /proc

    async def workers(self) -> Sequence[WorkerRow]:
        return worker_rows(self._workers)

    def mirrored(self) -> Mapping[ModelVersion, MirrorCount]:
        return self._router.mirror_counts.by_canary()

    def left(self) -> Collection[ModelVersion]:
        return self._workers.tries.left.now()
