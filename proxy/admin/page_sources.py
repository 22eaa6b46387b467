"""Where the proxy's pages get from what they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tfleet.discovery.plan_watch import Plans
from tfleet.proxy.admin.worker_metrics import WorkerMetricsPages
from tfleet.proxy.admin.workers import ProxyStatus
from tfleet.proxy.ticket_issuer import TicketIssuer


@dataclass(frozen=True, slots=True)
class PageSources:
    """What the pages show."""

    status: ProxyStatus
    worker_metrics: WorkerMetricsPages
    tickets: TicketIssuer
    plans: Callable[[], Plans] = Plans
