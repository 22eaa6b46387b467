"""Finds free ports, and checks whether something listens at an address."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Final

from tfleet.contract.address import LOCALHOST, Address
from tfleet.httpd.listen import BindAddress, bind_all, bound_socket, loopbacks

LOOPBACK: Final = "127.0.0.1"
_TIMEOUT_S: Final = 1.0
_ADVICE: Final = "stop what listens there or choose another (0 is any free one)"


def reachable(address: Address) -> bool:
    """Whether a connection can be made within a second."""
    try:
        socket.create_connection((address.host, address.port), timeout=_TIMEOUT_S).close()
    except OSError:
        return False
    return True


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
        listeners = bind_all(_bind_addresses(host, port), partial(bound_socket, shared=False))
        for listener in listeners:
            stack.enter_context(listener)
        for listener in listeners:
            listener.listen()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(f"port {port} ({option}) is taken: {_ADVICE}") from error
        where = "" if host in (LOOPBACK, LOCALHOST) else f" on {host} (--host)"
        raise PortTakenError(f"port {port} ({option}){where} cannot be used: {error.strerror}") from error
    claimed: int = listeners[0].getsockname()[1]
    return claimed


def _bind_addresses(host: str, port: int) -> list[BindAddress]:
    if host == LOCALHOST:
        return loopbacks(port)
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return [BindAddress(family, kind, protocol, address)]
