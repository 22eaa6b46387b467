"""Reserves a port for the listeners of one proxy, so that no other program can share it.

With SO_REUSEPORT alone, a second proxy of the same user that is started by mistake would silently get half of
the clients. So the parent binds sockets to the port without SO_REUSEADDR, and never listens on them: the
system then refuses every program that does not set SO_REUSEPORT, even while no listener runs. Before it
reserves a port, a parent tries to listen on it without SO_REUSEPORT, which fails if another proxy has it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

from tfleet.contract.address import Address
from tfleet.httpd.listen import BindAddress, bind_all, bound_socket, resolve


@contextlib.asynccontextmanager
async def reserved_port(address: Address) -> AsyncIterator[Address]:
    """Reserve the address inside the block; gives it with its port, if that was 0. Raises OSError."""
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
