"""Ports that nobody listens on yet."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final

LOOPBACK: Final = "127.0.0.1"

_ADVICE = "stop what listens there or choose another (0 is any free one)"


class PortTakenError(OSError):
    """A port cannot be listened on. The message is one line that names the port and its option."""


def free_ports(
    wanted: Mapping[str, int], *, host: str = LOOPBACK, hosts: Mapping[str, str] | None = None
) -> dict[str, int]:
    """Check that each port can be listened on, all at once, and put a free one for each 0.

    `wanted` has the option that names each port, `hosts` where that one is to be listened on, if it is not
    `host`. The ports are free again on return, for the processes that will listen there. Raises
    PortTakenError.
    """
    hosts = hosts or {}
    with ExitStack() as stack:
        return {
            option: _claim(stack, hosts.get(option, host), option, port) for option, port in wanted.items()
        }


def _claim(stack: ExitStack, host: str, option: str, port: int) -> int:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = stack.enter_context(socket.socket(family, kind, protocol))
        # As servers do it: an earlier fleet's connections that still close (TIME_WAIT) are in nobody's way.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(f"port {port} ({option}) is taken: {_ADVICE}") from error
        where = "" if host == LOOPBACK else f" on {host} (--host)"
        raise PortTakenError(f"port {port} ({option}){where} cannot be used: {error.strerror}") from error
    claimed: int = listener.getsockname()[1]
    return claimed
