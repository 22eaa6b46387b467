"""What all exchanges of a proxy share."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Self

from tfleet.contract.cors import Cors
from tfleet.proxy.balancing.model_router import ModelRouter
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.forwarding.mirror.traffic import MirrorTraffic
from tfleet.proxy.forwarding.poison_bodies import PoisonBodies
from tfleet.proxy.forwarding.replay_buffer import ReplayBudget
from tfleet.proxy.forwarding.retries import RetryBudget
from tfleet.proxy.forwarding.worker_access import WorkerAccess
from tfleet.proxy.settings import RequestLimits
from tfleet.proxy.telemetry.access_log import AccessLog
from tfleet.proxy.telemetry.metrics import ProxyMetrics


@dataclass(frozen=True, slots=True)
class Retrying:
    """What limits retries: memory for bodies, the retry budget, and the bodies that are not retried."""

    memory: ReplayBudget
    budget: RetryBudget
    poison: PoisonBodies

    @classmethod
    def within(cls, limits: RequestLimits) -> Self:
        """Make them for these limits, with nothing used yet."""
        return cls(
            ReplayBudget(limits.replay_bytes, limits.replay_total_bytes),
            RetryBudget(limits.retry_share, limits.retry_floor_per_s, time.monotonic),
            PoisonBodies(time.monotonic),
        )


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The metrics and the access log."""

    metrics: ProxyMetrics
    log: AccessLog


@dataclass(frozen=True, slots=True)
class ForwardingContext:
    """The workers, how they are reached, and the limits."""

    router: ModelRouter
    access: WorkerAccess
    limits: RequestLimits
    retrying: Retrying
    telemetry: Telemetry
    mirror: MirrorTraffic
    cors: Cors
    loop: asyncio.AbstractEventLoop

    @property
    def table(self) -> WorkerTable:
        """The workers."""
        return self.router.table
