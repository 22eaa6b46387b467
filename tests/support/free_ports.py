"""Ports that stay free until a test uses them.

Linux gives the ports from 32768 on to whoever asks for any: a server at port 0, a client's connection. A port
of those that a test has tried out may be another test's server a moment later. So these come from below, and
each process that runs tests has its own.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from functools import cache
from typing import Final

_PORTS: Final = range(20_000, 32_000)
_PARTS: Final = 16


def free_port(host: str = "127.0.0.1") -> int:
    """A port of that address that nobody listens on. This process has not given it out lately."""
    for port in itertools.islice(_ports(), len(_PORTS) // _PARTS):
        try:
            with socket.create_server((host, port)):
                return port
        except OSError:
            continue  # taken
    raise OSError(f"no port of {host} is free")


def free_ports(count: int, *, host: str = "127.0.0.1") -> list[int]:
    """As many ports that differ."""
    return [free_port(host) for _ in range(count)]


@cache
def _ports() -> Iterator[int]:
    """The ports of this process, round and round."""
    part = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PARTS
    ports = _PORTS[part::_PARTS]
    # Another run of the tests on this machine begins elsewhere.
    start = os.getpid() % len(ports)
    return itertools.cycle([*ports[start:], *ports[:start]])
