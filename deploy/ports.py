"""Ports that nobody listens on yet."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from contextlib import ExitStack

_ADVICE = "stop what listens there or choose another (0 is any free one)"


class PortTakenError(OSError):
    """A port cannot be listened on. The message is one line that names the port and its option."""


def free_ports(wanted: Mapping[str, int], *, host: str = "127.0.0.1") -> dict[str, int]:
    """Check that each port can be listened on, all at once, and put a free one for each 0.

    `wanted` has the option that names each port. The ports are free again on return, for the processes that
    will listen there. Raises PortTakenError.
    """
    with ExitStack() as stack:
        return {option: _claim(stack, host, option, port) for option, port in wanted.items()}


def _claim(stack: ExitStack, host: str, option: str, port: int) -> int:
    listener = stack.enter_context(socket.socket())
    # As servers do it: an earlier fleet's connections that are still closing (TIME_WAIT) are in nobody's way.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = f"is taken: {_ADVICE}" if taken else f"cannot be used: {error.strerror}"
        raise PortTakenError(f"port {port} ({option}) {why}") from error
    claimed: int = listener.getsockname()[1]
    return claimed
