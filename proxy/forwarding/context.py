"""What all exchanges of a proxy share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tfleet.contract.cors import Cors
from tfleet.proxy.balancing.worker_table import Fleet
from tfleet.proxy.forwarding.poison_bodies import PoisonBodies
from tfleet.proxy.forwarding.replay_buffer import ReplayMemory
from tfleet.proxy.forwarding.retries import RetryBudget
from tfleet.proxy.settings import Limits
from tfleet.proxy.telemetry.access_log import Observer
from tfleet.proxy.telemetry.metrics import Metrics
from tfleet.proxy.ticket_issuer import TicketOffice
from tfleet.proxy.upstream.connection_pool import WorkerConnections


@dataclass(frozen=True, slots=True)
class Means:
    """The fleet and the way to it, and what may be taken of both."""

    fleet: Fleet
    connections: WorkerConnections
    limits: Limits
    memory: ReplayMemory
    budget: RetryBudget
    poison: PoisonBodies
    metrics: Metrics
    observer: Observer
    tickets: TicketOffice
    cors: Cors
    loop: asyncio.AbstractEventLoop
