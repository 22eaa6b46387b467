"""What all exchanges of a proxy share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tfleet.contract.cors import Cors
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.forwarding.poison_bodies import PoisonBodies
from tfleet.proxy.forwarding.replay_buffer import ReplayMemory
from tfleet.proxy.forwarding.retries import RetryBudget
from tfleet.proxy.settings import RequestLimits
from tfleet.proxy.telemetry.access_log import AccessLog
from tfleet.proxy.telemetry.metrics import ProxyMetrics
from tfleet.proxy.ticket_issuer import TicketIssuer
from tfleet.proxy.upstream.connection_pool import WorkerConnections


@dataclass(frozen=True, slots=True)
class ForwardingContext:
    """The fleet and the way to it, and what may be taken of both."""

    fleet: WorkerTable
    connections: WorkerConnections
    limits: RequestLimits
    memory: ReplayMemory
    budget: RetryBudget
    poison: PoisonBodies
    metrics: ProxyMetrics
    observer: AccessLog
    tickets: TicketIssuer
    cors: Cors
    loop: asyncio.AbstractEventLoop
