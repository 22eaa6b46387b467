"""What all exchanges of a proxy share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tfleet.contract.cors import Cors
from tfleet.proxy.fleet import Fleet
from tfleet.proxy.limits import Limits
from tfleet.proxy.metrics import Metrics
from tfleet.proxy.observer import Observer
from tfleet.proxy.poison import PoisonBodies
from tfleet.proxy.replay_memory import ReplayMemory
from tfleet.proxy.retry_budget import RetryBudget
from tfleet.proxy.ticket_office import TicketOffice
from tfleet.proxy.worker_connections import WorkerConnections


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
