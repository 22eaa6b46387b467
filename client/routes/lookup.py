"""Look up workers for p2p mode: the query of `GET /worker?n=` and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from tfleet.client.errors import UnexpectedAnswerError
from tfleet.client.http.responses import succeeded
from tfleet.client.routes.named_model import DEFAULT_MODEL, NamedModel
from tfleet.contract.address import Address, BadAddressError
from tfleet.contract.names import LEASE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tfleet.client.http.transport import HttpResponse

_PATH: Final = "/worker"
_LONGEST_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class FoundWorker:
    """A worker that the proxy named. If it has no id, its address is used.

    `weight` is its share of requests: 1, or between 0 and 1 during its slow start. A `stateful` one must not
    get a request twice.
    """

    id: str
    address: Address
    model: str = ""
    version: str = ""
    weight: float = 1.0
    stateful: bool = False

    @property
    def name(self) -> str:
        """The worker's own id; empty if it is unknown, or can't be sent in a header."""
        return "" if self.id == str(self.address) or not _is_one_header(self.id) else self.id


@dataclass(frozen=True, slots=True)
class LeasedWorkers:
    """The workers to use for `expires_in_s` seconds (0 if the proxy did not say).

    `forwards` is whether the proxy forwards images itself. `ticket` is sent to the workers; empty if they
    need none.
    """

    workers: tuple[FoundWorker, ...]
    expires_in_s: float = 0.0
    forwards: bool = False
    ticket: str = ""


def path(size: int, excluded: Iterable[str] = (), model: NamedModel = DEFAULT_MODEL) -> str:
    """Path and query of the lookup of up to `size` workers of a model, without those with an id in
    `excluded`.
    """
    query = [(LEASE_SIZE, str(size)), *model.query, *(("except", worker_id) for worker_id in excluded)]
    return f"{_PATH}?{urlencode(query)}"


def read_lease(reply: HttpResponse, *, request_id: str | None = None) -> LeasedWorkers:
    """Read the answer of `GET /worker?n=`; raises the FleetError that it means if it names no worker.

    A worker answers this with its own row only, without a list around it.
    """
    document = succeeded(reply, request_id=request_id)
    rows = document.get("workers", [document])
    try:
        workers = tuple(map(_found, rows)) if isinstance(rows, list) else ()
    except BadAddressError as error:
        raise UnexpectedAnswerError(
            f"{reply.url}: {error}", status=reply.status, request_id=request_id
        ) from error
    if not workers or None in workers:
        raise UnexpectedAnswerError(
            f"{reply.url} named no worker: is the address a tfleet proxy's?",
            status=reply.status,
            request_id=request_id,
        )
    return LeasedWorkers(
        tuple(worker for worker in workers if worker is not None),
        expires_in_s=min(_positive(document.get("expires_in_s")) or 0.0, _LONGEST_S),
        forwards=document.get("forwards") is True,
        ticket=sendable_ticket(document.get("ticket")),
    )


def _found(row: Any) -> FoundWorker | None:
    address = row.get("address") if isinstance(row, Mapping) else None
    if not isinstance(address, str):
        return None
    parsed = Address.parse(address)
    return FoundWorker(
        id=str(row.get("id") or parsed),
        address=parsed,
        model=str(row.get("model", "")),
        version=str(row.get("version", "")),
        weight=min(_positive(row.get("weight")) or 1.0, 1.0),
        stateful=row.get("stateful") is True,
    )


def sendable_ticket(value: object) -> str:
    """The ticket that a proxy gave; empty if it can't be sent in a header."""
    return value if isinstance(value, str) and _is_one_header(value) else ""


def _is_one_header(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _positive(value: object) -> float | None:
    """The value if it is a number above 0; None for anything else, NaN included."""
    return float(value) if isinstance(value, int | float) and value > 0 else None
