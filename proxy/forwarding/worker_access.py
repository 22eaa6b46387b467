"""How workers are reached."""

from __future__ import annotations

from dataclasses import dataclass

from tfleet.proxy.ticket_issuer import TicketIssuer
from tfleet.proxy.upstream.connection_pool import WorkerConnections


@dataclass(frozen=True, slots=True)
class WorkerAccess:
    """The connections to workers, and the tickets that these may ask for."""

    connections: WorkerConnections
    tickets: TicketIssuer
