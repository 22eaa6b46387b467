"""What a listener gets of that which the options give the whole proxy."""

from __future__ import annotations

from dataclasses import replace

from tfleet.contract.address import Address
from tfleet.proxy.service import Settings


def share(settings: Settings, number: int, count: int, address: Address) -> Settings:
    """The settings of listener `number`, from 1 to `count`, at the address of all of them.

    What is a limit for all clients together is divided, so that together they keep it.
    """
    limits, clients = settings.limits, settings.client_limits
    return replace(
        settings,
        address=address,
        limits=replace(
            limits,
            replay_total_bytes=_part(limits.replay_total_bytes, number, count),
            retry_floor_per_s=limits.retry_floor_per_s / count,
        ),
        client_limits=replace(clients, max_connections=_part(clients.max_connections, number, count)),
    )


def _part(total: int, number: int, count: int) -> int:
    return total // count + (number <= total % count)
