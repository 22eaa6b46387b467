"""A port that several processes of one proxy share, and nobody else.

SO_REUSEPORT alone lets in whoever of the same user says it, too: a second proxy, started by mistake, would
get half of the clients and nobody would notice. So the parent holds the port with sockets on which it never
listens, and with no word of SO_REUSEADDR on them: the system then refuses everybody who does not say
SO_REUSEPORT, also while no listener is alive. And whoever wants to hold a port first tries to listen on it
without SO_REUSEPORT, which the system refuses where a holder or a listener is.

What a listener gets of that which the options give the whole proxy.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

from tfleet.contract.address import Address
from tfleet.httpd.listen import BindAddress, bind_all, bound_socket, resolve
from tfleet.proxy.settings import ProxySettings


@contextlib.asynccontextmanager
async def held(address: Address) -> AsyncIterator[Address]:
    """Holds it inside the block, and gives it with its port, where that was 0. Raises OSError."""
    with contextlib.ExitStack() as stack:
        holders = bind_all(await resolve(address), _hold)
        for one in holders:
            stack.enter_context(one)
        yield Address(address.host, holders[0].getsockname()[1])


def _hold(at: BindAddress) -> socket.socket:
    holder = bound_socket(at, shared=True)
    try:
        with bound_socket(at.at(holder.getsockname()[1]), shared=False) as probe:
            probe.listen()
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except BaseException:
        holder.close()
        raise
    return holder


def share(settings: ProxySettings, number: int, count: int, address: Address) -> ProxySettings:
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
