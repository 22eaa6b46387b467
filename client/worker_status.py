"""The workers as the proxy lists them in `GET /workers`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tfleet.client.errors import UnexpectedAnswerError
from tfleet.client.http.responses import failure, succeeded
from tfleet.client.routes.lookup import sendable_ticket
from tfleet.contract.names import TICKET

if TYPE_CHECKING:
    from tfleet.client.http.transport import HttpResponse

PATH = "/workers"
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker of the proxy's list.

    `state` is `starting`, `ready`, `ejected` or `draining`; it is text because a newer proxy may have more
    states. `in_flight` counts this proxy's requests to the worker. `last_error` is empty if there was none.
    """

    id: str
    address: str
    model: str = ""
    version: str = ""
    state: str = ""
    in_flight: int = 0
    last_error: str = ""

    @property
    def model_label(self) -> str:
        """`name/version`; empty if unknown."""
        return f"{self.model}/{self.version}" if self.model and self.version else self.model


@dataclass(frozen=True, slots=True)
class WorkerList:
    """The workers that a proxy knows, and the ticket for them; empty if it gave none."""

    workers: tuple[WorkerStatus, ...]
    ticket: str = field(default="", repr=False)


def workers_document(reply: HttpResponse, *, request_id: str | None = None) -> dict[str, Any]:
    """The document of `GET /workers`, with its unknown fields; raises the FleetError that the answer
    means.
    """
    document = succeeded(reply, request_id=request_id)
    rows = document.get("workers")
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        raise UnexpectedAnswerError(
            f"{reply.url} lists no workers: is the address a tfleet proxy's?",
            status=reply.status,
            request_id=request_id,
        )
    return document


def worker_statuses(document: Mapping[str, Any]) -> tuple[WorkerStatus, ...]:
    """The rows of a document that `workers_document` gave; unknown fields are ignored."""
    return tuple(_worker_status(row) for row in document["workers"])


def read_worker_list(reply: HttpResponse, *, request_id: str | None = None) -> WorkerList:
    """The workers and the ticket in the answer; raises the FleetError that the answer means."""
    document = workers_document(reply, request_id=request_id)
    return WorkerList(worker_statuses(document), sendable_ticket(reply.headers.get(TICKET)))


def metrics_path(worker_id: str) -> str:
    """The path of a worker's metrics at the proxy."""
    return f"{PATH}/{quote(worker_id, safe='')}/metrics"


def metrics_page(reply: HttpResponse, *, request_id: str | None = None) -> str:
    """The text of such a page; raises the FleetError that the answer means."""
    if reply.status != _OK:
        raise failure(reply, request_id=request_id)
    return reply.body.decode(errors="replace")


def _is_row(row: object) -> bool:
    return isinstance(row, Mapping) and isinstance(row.get("id"), str) and isinstance(row.get("address"), str)


def _worker_status(row: Mapping[str, Any]) -> WorkerStatus:
    in_flight = row.get("in_flight")
    return WorkerStatus(
        id=row["id"],
        address=row["address"],
        model=_text(row, "model"),
        version=_text(row, "version"),
        state=_text(row, "state"),
        in_flight=in_flight if isinstance(in_flight, int) else 0,
        last_error=_text(row, "last_error"),
    )


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return "" if value is None else str(value)
