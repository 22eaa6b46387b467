"""What a listener and its parent tell each other, over a pair of sockets that nobody else has.

Both are the same program and user, and the parent started the other end, so values are sent as they are,
pickled.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

from prometheus_client.metrics_core import Metric

from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.admin.workers import WorkerRow
from tfleet.proxy.server import Settings
from tfleet.runtime.log import LogFormat, LogLevel

_LENGTH: Final = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Begin:
    """To a listener, first of all.

    `registry` is the one to ask, None where it is static; `known` are the workers that its siblings
    know, `name` is that of `Called`.
    """

    number: int
    settings: Settings
    registry: ConsulRegistry | None
    known: tuple[Instance, ...]
    name: str
    log_format: LogFormat
    log_level: LogLevel = "info"


@dataclass(frozen=True, slots=True)
class Opened:
    """From a listener: clients may come, here."""

    address: Address


@dataclass(frozen=True, slots=True)
class Ready:
    """From a listener: there has been a worker to send to."""


@dataclass(frozen=True, slots=True)
class Called:
    """To a listener: this is the id under which the proxy is registered from now on."""

    name: str


@dataclass(frozen=True, slots=True)
class Drain:
    """To a listener: the proxy is about to stop."""


@dataclass(frozen=True, slots=True)
class Tell:
    """To a listener: tell what you know."""


@dataclass(frozen=True, slots=True)
class Told:
    """From a listener: its figures and its workers."""

    families: tuple[Metric, ...] = ()
    workers: tuple[WorkerRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """From a listener: somebody wants to know what all of them know."""


@dataclass(frozen=True, slots=True)
class Summed:
    """To a listener: the figures of all, as Prometheus reads them, and the workers of all."""

    metrics: bytes
    workers: tuple[WorkerRow, ...]


Message: TypeAlias = Begin | Opened | Ready | Called | Drain | Tell | Told | Ask | Summed


def send(writer: asyncio.StreamWriter, message: Message) -> None:
    """Send it; nothing happens where the other side has ended."""
    if not writer.is_closing():
        packed = pickle.dumps(message)
        writer.write(_LENGTH.pack(len(packed)) + packed)


async def receive(reader: asyncio.StreamReader) -> Message | None:
    """The next message; None when the other side has ended."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        packed = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    message: Message = pickle.loads(packed)  # noqa: S301 - it comes from this very program, see above
    return message
