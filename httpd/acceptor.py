"""Listening sockets, and the loop that accepts connections from them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from tfleet.contract.address import LOCALHOST, Address

# So many clients may connect at the same moment. The system's own limit is net.core.somaxconn.
_BACKLOG: Final = 1024
_ACCEPTED_AT_ONCE: Final = 64
_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_RETRY_S: Final = 0.5
_LOGGED_EVERY_S: Final = 60.0
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


class Acceptor:
    """Accepts connections, each for a protocol that `connect` makes."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        connect: Callable[[], asyncio.Protocol],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._sockets = sockets
        self._connect = connect
        self._loop = loop
        self._connecting: set[asyncio.Task[object]] = set()
        self._retries: dict[socket.socket, asyncio.TimerHandle] = {}
        self._closed = False
        self._silent_until_s = float("-inf")
        for one in sockets:
            loop.add_reader(one.fileno(), self._ready, one)

    def __repr__(self) -> str:
        return f"<Acceptor {self.address}>"

    @property
    def address(self) -> Address:
        """Where it listens; the first one where a name has several."""
        return Address(*self._sockets[0].getsockname()[:2])

    async def close(self) -> None:
        """Stop listening. The backlog is accepted first: else its clients would be reset."""
        self._closed = True
        for timer in self._retries.values():
            timer.cancel()
        for one in self._sockets:
            self._loop.remove_reader(one.fileno())
            with one:
                while self._accept(one):
                    pass
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _ready(self, one: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if not self._accept(one):
                return

    def _accept(self, one: socket.socket) -> bool:
        """Whether a connection was waiting."""
        try:
            client, _ = one.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            if error.errno not in _OUT_OF_RESOURCES:
                raise
            self._wait(one, error)
            return False
        client.setblocking(False)
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._connect, client))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return True

    def _wait(self, one: socket.socket, error: OSError) -> None:
        """The socket stays readable, so the loop would do nothing else if it went on asking it."""
        now_s = self._loop.time()
        if now_s >= self._silent_until_s:
            self._silent_until_s = now_s + _LOGGED_EVERY_S
            structlog.get_logger().warning(
                f"new connections wait: {error.strerror}; see ulimit -n or LimitNOFILE="
            )
        if not self._closed:
            self._loop.remove_reader(one.fileno())
            self._retries[one] = self._loop.call_later(_RETRY_S, self._retry, one)

    def _retry(self, one: socket.socket) -> None:
        del self._retries[one]
        self._loop.add_reader(one.fileno(), self._ready, one)


@dataclass(frozen=True, slots=True)
class BindAddress:
    """One of the addresses of a name, as the system's calls take it; an `optional` one may be missing."""

    family: int
    kind: int
    protocol: int
    where: tuple[str | int | bytes, ...]
    optional: bool = False

    def at(self, port: int) -> BindAddress:
        """The same with another port."""
        host, _, *more = self.where
        return replace(self, where=(host, port, *more))


async def resolve(address: Address) -> list[BindAddress]:
    """The addresses to bind for it. Raises OSError."""
    if address.host == LOCALHOST:
        return loopbacks(address.port)
    return await asyncio.get_running_loop().run_in_executor(None, resolve_blocking, address)


def resolve_blocking(address: Address) -> list[BindAddress]:
    """As `resolve`, for a thread without an event loop."""
    if address.host == LOCALHOST:
        return loopbacks(address.port)
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    known = dict.fromkeys((family, kind, protocol, where) for family, kind, protocol, _, where in found)
    return [BindAddress(*one) for one in known]


def loopbacks(port: int) -> list[BindAddress]:
    """What `localhost` is, as for browsers and curl, whatever the machine's hosts file says of it: the
    loopback of IPv4 first, and that of IPv6 where there is one.
    """
    kind, protocol = socket.SOCK_STREAM, socket.IPPROTO_TCP
    return [
        BindAddress(socket.AF_INET, kind, protocol, ("127.0.0.1", port)),
        BindAddress(socket.AF_INET6, kind, protocol, ("::1", port, 0, 0), optional=True),
    ]


def bound_socket(at: BindAddress, *, shared: bool) -> socket.socket:
    """A socket that is bound there; `shared` ones of the same user may be several. Raises OSError."""
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
    """What `bind` makes at each address, all with one port, be it any free one; none at an optional address
    that this machine has not. Raises OSError.
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
    """Listen at all of them; port 0 is any free one. The system deals out clients among those that listen
    `shared` at one address. From now on clients may connect, and wait. Raises OSError.
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
