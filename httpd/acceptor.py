"""Accepts connections from listening sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from tfleet.contract.address import Address

_ACCEPTED_AT_ONCE: Final = 64
_MAX_BACKLOG: Final = 65_536
_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_ALREADY_BROKEN: Final = frozenset(
    {
        errno.ECONNABORTED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EPROTO,
    }
)
"""Errors of connections that have failed already: Linux passes them on through accept(2)."""
_RETRY_S: Final = 0.5
_LOGGED_EVERY_S: Final = 60.0


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
                for _ in range(_MAX_BACKLOG):
                    if not self._accept(one):
                        break
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _ready(self, one: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if not self._accept(one):
                return

    def _accept(self, one: socket.socket) -> bool:
        """Whether a connection was waiting, if only a broken one."""
        try:
            client, _ = one.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            if error.errno in _ALREADY_BROKEN:
                return True
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
                "new connections wait: see ulimit -n or LimitNOFILE=", error=error.strerror
            )
        if not self._closed:
            self._loop.remove_reader(one.fileno())
            self._retries[one] = self._loop.call_later(_RETRY_S, self._retry, one)

    def _retry(self, one: socket.socket) -> None:
        del self._retries[one]
        self._loop.add_reader(one.fileno(), self._ready, one)
