"""The sockets on which clients knock, and how the proxy lets in the last of them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from tfleet.contract.address import LOCALHOST, Address

# As many clients may knock at the same moment. The system's own limit is net.core.somaxconn.
_BACKLOG: Final = 1024
_AT_ONCE: Final = 64
_SHORT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_RETRY_S: Final = 0.5
# A free port of one address may be taken at the other one.
_PORTS_TRIED: Final = 8
_NO_SUCH_PLACE: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


class Door:
    """Lets clients in, each to a protocol that `connect` makes."""

    def __init__(
        self,
        sockets: list[socket.socket],
        connect: Callable[[], asyncio.Protocol],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._sockets = sockets
        self._connect = connect
        self._loop = loop
        self._letting_in: set[asyncio.Task[object]] = set()
        self._retries: dict[socket.socket, asyncio.TimerHandle] = {}
        self._closed = False
        for one in sockets:
            loop.add_reader(one.fileno(), self._knocked, one)

    def __repr__(self) -> str:
        return f"<Door {self.address}>"

    @property
    def address(self) -> Address:
        """Where it is; the first one where a name has several."""
        return Address(*self._sockets[0].getsockname()[:2])

    async def close(self) -> None:
        """Whoever has knocked before is let in: closed on, he would be reset with his request."""
        self._closed = True
        for timer in self._retries.values():
            timer.cancel()
        for one in self._sockets:
            self._loop.remove_reader(one.fileno())
            with one:
                while self._let_in(one):
                    pass
        if self._letting_in:
            await asyncio.wait(self._letting_in)

    def _knocked(self, one: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            if not self._let_in(one):
                return

    def _let_in(self, one: socket.socket) -> bool:
        """Whether somebody was there."""
        try:
            client, _ = one.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            if error.errno not in _SHORT:
                raise
            structlog.get_logger().warning("clients have to wait at the door", error=error.strerror)
            if not self._closed:
                self._loop.remove_reader(one.fileno())
                self._retries[one] = self._loop.call_later(_RETRY_S, self._open_again, one)
            return False
        client.setblocking(False)
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._connect, client))
        self._letting_in.add(task)
        task.add_done_callback(self._letting_in.discard)
        return True

    def _open_again(self, one: socket.socket) -> None:
        del self._retries[one]
        self._loop.add_reader(one.fileno(), self._knocked, one)


def found_at(line: asyncio.BaseTransport | None) -> str:
    """The address of this side of a connection, where the client found it; empty where it is over."""
    name = None if line is None else line.get_extra_info("sockname")
    return str(Address(*name[:2])) if name else ""


@dataclass(frozen=True, slots=True)
class Place:
    """One of the addresses of a name, as the system's calls take it; one that is `spare` may be missing."""

    family: int
    kind: int
    protocol: int
    where: tuple[str | int | bytes, ...]
    spare: bool = False

    def at(self, port: int) -> Place:
        """The same with another port."""
        host, _, *more = self.where
        return replace(self, where=(host, port, *more))


async def places(address: Address) -> list[Place]:
    """Where one listens for it. Raises OSError."""
    if address.host == LOCALHOST:
        return loopbacks(address.port)
    found = await asyncio.get_running_loop().getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    known = dict.fromkeys((family, kind, protocol, where) for family, kind, protocol, _, where in found)
    return [Place(*one) for one in known]


def loopbacks(port: int) -> list[Place]:
    """What `localhost` is, as for browsers and curl, whatever the machine's hosts file says of it: the
    loopback of IPv4 first, and that of IPv6 where there is one.
    """
    kind, protocol = socket.SOCK_STREAM, socket.IPPROTO_TCP
    return [
        Place(socket.AF_INET, kind, protocol, ("127.0.0.1", port)),
        Place(socket.AF_INET6, kind, protocol, ("::1", port, 0, 0), spare=True),
    ]


def bound(place: Place, *, shared: bool) -> socket.socket:
    """A socket that is bound there; `shared` ones of the same user may be several. Raises OSError."""
    one = socket.socket(place.family, place.kind, place.protocol)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if place.family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(place.where)
    except BaseException:
        one.close()
        raise
    return one


def bound_all(found: Sequence[Place], bind: Callable[[Place], socket.socket]) -> list[socket.socket]:
    """What `bind` makes at each place, all with one port, be it any free one; none at a spare place that this
    machine has not. Raises OSError.
    """
    for _ in range(_PORTS_TRIED):
        try:
            return _bound_at_one_port(found, bind)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or found[0].where[1] != 0:
                raise
    return _bound_at_one_port(found, bind)


def _bound_at_one_port(found: Sequence[Place], bind: Callable[[Place], socket.socket]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as opened:
        for place in found:
            try:
                one = bind(place.at(sockets[0].getsockname()[1]) if sockets else place)
            except OSError as error:
                if place.spare and error.errno in _NO_SUCH_PLACE:
                    continue
                raise
            sockets.append(opened.enter_context(one))
        opened.pop_all()
    return sockets


async def open_door(
    address: Address, connect: Callable[[], asyncio.Protocol], *, shared: bool = False
) -> Door:
    """Listen; port 0 is any free one. The system deals out clients among those that have a `shared` door to
    one address. Raises OSError.
    """

    def listening(place: Place) -> socket.socket:
        one = bound(place, shared=shared)
        try:
            one.listen(_BACKLOG)
        except BaseException:
            one.close()
            raise
        one.setblocking(False)
        return one

    return Door(bound_all(await places(address), listening), connect, asyncio.get_running_loop())
