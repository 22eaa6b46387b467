"""The messages between a listener process and its parent: JSON, one message a line, over a pair of sockets.

No message is larger than MAX_MESSAGE_BYTES. A longer one, or one that can't be read, ends the connection.
Workers and figures come many at a time, once a second, so their JSON is written by hand, as plain lists.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import structlog
from prometheus_client.metrics_core import Metric

from tfleet.contract.address import Address
from tfleet.contract.ticket_keys import KeyFileState
from tfleet.discovery.instance import Instance
from tfleet.discovery.plan_watch import Plans
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.admin.workers import WorkerRow
from tfleet.proxy.balancing.member import WorkerState
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.multiprocess.json_codec import JsonError, from_json, to_json
from tfleet.proxy.settings import ProxySettings
from tfleet.runtime.log import LogSettings

_HAS_WORKER: Final[Any] = bool | None
MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""Enough for 10,000 workers with long error texts, as `client/` allows for `GET /workers`."""


@dataclass(frozen=True, slots=True)
class KnownFleet:
    """What is known when a listener starts: the workers that the other listeners know, and the plans that
    the parent has read, None for nothing yet.
    """

    workers: tuple[Instance, ...] = ()
    plans: Plans | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """To a listener: the first message.

    `settings` have no ticket keys of their own: `ticket_keys` are what the parent read. `registry` is the one
    to watch, None for a static list; `known` is what it begins with. `pages` is the unix socket to which
    requests for pages go. `name` is that of `Registered`.
    """

    number: int
    settings: ProxySettings
    ticket_keys: KeyFileState | None
    registry: ConsulRegistry | None
    known: KnownFleet
    pages: Path
    name: str
    logs: LogSettings


@dataclass(frozen=True, slots=True)
class Listening:
    """From a listener: it accepts clients, here."""

    address: Address


@dataclass(frozen=True, slots=True)
class Ready:
    """From a listener: a worker was ready."""


@dataclass(frozen=True, slots=True)
class Registered:
    """To a listener: the proxy is registered under this id from now on."""

    name: str


@dataclass(frozen=True, slots=True)
class Drain:
    """To a listener: the proxy is about to stop."""


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """To a listener: report."""


@dataclass(frozen=True, slots=True)
class Report:
    """From a listener: its figures and its workers.

    `has_worker` is whether it has a worker to send to, None while it does not serve yet. `left` are the
    versions of workers that have left a moment ago.
    """

    families: tuple[Metric, ...] = ()
    workers: tuple[WorkerRow, ...] = ()
    has_worker: bool | None = None
    left: tuple[ModelVersion, ...] = ()


Message: TypeAlias = Start | Listening | Ready | Registered | Drain | ReportRequest | Report


def send(writer: asyncio.StreamWriter, message: Message) -> None:
    """Send it, unless the other side has ended or the message is too large."""
    if writer.is_closing():
        return
    data = encode(message)
    if len(data) > MAX_MESSAGE_BYTES:
        structlog.get_logger().error(
            "message between the proxy's processes is too large", type=type(message).__name__, bytes=len(data)
        )
        return
    writer.write(data)


async def receive(reader: asyncio.StreamReader) -> Message | None:
    """The next message; None when the other side has ended, or has sent an invalid message.

    `reader` was made with a limit of MAX_MESSAGE_BYTES.
    """
    try:
        return decode(await reader.readuntil())
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except (asyncio.LimitOverrunError, JsonError) as error:
        structlog.get_logger().error("message between the proxy's processes can't be read", error=str(error))
        return None


def encode(message: Message) -> bytes:
    """A line."""
    if isinstance(message, Report):
        document = {
            "type": Report.__name__,
            "families": [_family(each) for each in message.families],
            "workers": [_row(each) for each in message.workers],
            "has_worker": message.has_worker,
            "left": message.left,
        }
    else:
        document = to_json(message)
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message of a line. Raises JsonError."""
    try:
        document = json.loads(line)
    except ValueError as error:
        raise JsonError(str(error)) from None
    if isinstance(document, dict) and document.get("type") == Report.__name__:
        return _report(document)
    kinds: Any = Start | Listening | Ready | Registered | Drain | ReportRequest
    message: Message = from_json(kinds, document)
    return message


def _report(document: dict[str, Any]) -> Report:
    try:
        families = tuple(_read_family(*each) for each in document["families"])
        workers = tuple(_read_row(*each) for each in document["workers"])
        left = tuple(ModelVersion(*map(str, version)) for version in document["left"])
        return Report(families, workers, from_json(_HAS_WORKER, document["has_worker"]), left)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise JsonError(f"a Report of another shape: {error}") from None


def _family(family: Metric) -> list[Any]:
    samples = [[sample.name, sample.labels, sample.value] for sample in family.samples]
    return [family.name, family.documentation, family.type, family.unit, samples]


def _read_family(
    name: str, documentation: str, kind: str, unit: str, samples: Iterable[tuple[str, dict[str, str], float]]
) -> Metric:
    family = Metric(name, documentation, kind, unit)
    for sample_name, labels, value in samples:
        family.add_sample(sample_name, dict(labels), value)
    return family


def _row(row: WorkerRow) -> list[Any]:
    one = row.instance
    wan = None if one.wan is None else [one.wan.host, one.wan.port]
    instance = [
        one.id,
        one.address.host,
        one.address.port,
        one.model,
        one.version,
        wan,
        one.kind,
        one.stateful,
    ]
    return [instance, row.state.value, row.weight, row.listed, row.in_flight, row.failures, row.last_error]


def _read_row(instance: list[Any], state: str, *more: Any) -> WorkerRow:
    worker_id, host, port, model, version, wan, kind, stateful = instance
    address = Address(host, port)
    return WorkerRow(
        Instance(worker_id, address, model, version, None if wan is None else Address(*wan), kind, stateful),
        WorkerState(state),
        *more,
    )
