"""Where the proxy's pages get from what they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from tfleet.discovery.plan_watch import Plans
from tfleet.proxy.admin.workers import ProxyStatus
from tfleet.proxy.ticket_issuer import TicketIssuer


@dataclass(frozen=True, slots=True)
class PageSources:
    """What the pages show. `session` is for the pages of workers. `jobs` is whether there are any."""

    status: ProxyStatus
    session: aiohttp.ClientSession
    tickets: TicketIssuer
    plans: Callable[[], Plans] = Plans
    jobs: bool = False
