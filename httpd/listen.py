"""Where listening sockets are opened: resolves an address, binds and listens."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tfleet.contract.address import LOCALHOST, Address

# So many clients may connect at the same moment. The system's own limit is net.core.somaxconn.
_BACKLOG: Final = 1024
# A free port of one address may be taken at the other one.
_PORTS_TRIED: Final = 8
_NO_SUCH_ADDRESS: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


class CannotListenError(Exception):
    """An address is taken or not this machine's. The message is one line that names the option to change."""


@contextlib.contextmanager
def listen_errors(address: Address, option: str) -> Iterator[None]:
    """Raises CannotListenError for an OSError. `option` is what chose the address."""
    try:
        yield
    except OSError as error:
        # In the system's words: asyncio puts the address before them. A look-up that failed has no errno.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise CannotListenError(f"can't listen on {address}: {reason}; see {option}") from error


@dataclass(frozen=True, slots=True)
class BindAddress:
    """One address of a name, as `bind` takes it. An `optional` one may be missing on this machine."""

    family: int
    kind: int
    protocol: int
    where: tuple[str | int | bytes, ...]
    optional: bool = False

    def at(self, port: int) -> BindAddress:
        """Return the same address with another port."""
        host, _, *more = self.where
        return replace(self, where=(host, port, *more))


async def resolve(address: Address) -> list[BindAddress]:
    """Return the addresses to bind for `address`. Raises OSError."""
    if address.host == LOCALHOST:
        return loopbacks(address.port)
    return await asyncio.get_running_loop().run_in_executor(None, resolve_blocking, address)


def resolve_blocking(address: Address) -> list[BindAddress]:
    """Do what `resolve` does, in a thread without an event loop."""
    if address.host == LOCALHOST:
        return loopbacks(address.port)
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    known = dict.fromkeys((family, kind, protocol, where) for family, kind, protocol, _, where in found)
    return [BindAddress(*one) for one in known]


def loopbacks(port: int) -> list[BindAddress]:
    """Return the addresses of `localhost`: 127.0.0.1, then ::1 where the machine has it.

    The hosts file is not asked: browsers and curl do not ask it either.
    """
    kind, protocol = socket.SOCK_STREAM, socket.IPPROTO_TCP
    return [
        BindAddress(socket.AF_INET, kind, protocol, ("127.0.0.1", port)),
        BindAddress(socket.AF_INET6, kind, protocol, ("::1", port, 0, 0), optional=True),
    ]


def bound_socket(at: BindAddress, *, shared: bool) -> socket.socket:
    """Return a socket bound to `at`. With `shared` (SO_REUSEPORT) several may bind there. Raises OSError."""
    one = socket.socket(at.family, at.kind, at.protocol)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if at.family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(at.where)
    except BaseException:
        one.close()
        raise
    return one


def bind_all(
    addresses: Sequence[BindAddress], bind: Callable[[BindAddress], socket.socket]
) -> list[socket.socket]:
    """Call `bind` for each address, all with the same port. Raises OSError.

    Port 0 is any port that is free at all of them. An optional address that this machine lacks is left out.
    """
    for _ in range(_PORTS_TRIED):
        try:
            return _bind_at_one_port(addresses, bind)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or addresses[0].where[1] != 0:
                raise
    return _bind_at_one_port(addresses, bind)


def _bind_at_one_port(
    addresses: Sequence[BindAddress], bind: Callable[[BindAddress], socket.socket]
) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as opened:
        for address in addresses:
            try:
                one = bind(address.at(sockets[0].getsockname()[1]) if sockets else address)
            except OSError as error:
                if address.optional and error.errno in _NO_SUCH_ADDRESS:
                    continue
                raise
            sockets.append(opened.enter_context(one))
        opened.pop_all()
    return sockets


def listening_sockets(addresses: Sequence[BindAddress], *, shared: bool = False) -> list[socket.socket]:
    """Listen at all addresses; port 0 is any free one. Raises OSError.

    Clients may connect from now on, and wait until an Acceptor accepts them. The system spreads them over
    all sockets that listen `shared` at one address.
    """

    def listening(address: BindAddress) -> socket.socket:
        one = bound_socket(address, shared=shared)
        try:
            one.listen(_BACKLOG)
        except BaseException:
            one.close()
            raise
        one.setblocking(False)
        return one

    return bind_all(addresses, listening)
