"""The first step of p2p mode: which workers to talk to, in the words of `GET /worker?n=`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from tfleet.client.errors import UnexpectedAnswerError
from tfleet.client.http.answers import succeeded
from tfleet.contract.address import Address, BadAddressError
from tfleet.contract.names import LEASE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tfleet.client.http.transport import HttpResponse

_PATH: Final = "/worker"
_LONGEST_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class FoundWorker:
    """A worker that the proxy named. One without an id goes by its address.

    `weight` is how much of a turn it is to have: 1, or less while it is warming up, and more than 0.
    """

    id: str
    address: Address
    model: str = ""
    version: str = ""
    weight: float = 1.0

    @property
    def name(self) -> str:
        """What it calls itself; empty where nobody knows, or it could not be said in one header."""
        return "" if self.id == str(self.address) or not _is_one_header(self.id) else self.id


@dataclass(frozen=True, slots=True)
class LeasedWorkers:
    """Workers to share the images among for `expires_in_s` seconds (0 where the proxy did not say).

    `forwards` is whether the proxy would take an image itself. `ticket` is to be shown to the workers, empty
    where they ask for none.
    """

    workers: tuple[FoundWorker, ...]
    expires_in_s: float = 0.0
    forwards: bool = False
    ticket: str = ""


def path(size: int, unwanted: Iterable[str] = ()) -> str:
    """Path and query of the question for up to `size` workers, none of them with an id in `unwanted`."""
    query = [(LEASE_SIZE, str(size)), *(("except", worker_id) for worker_id in unwanted)]
    return f"{_PATH}?{urlencode(query)}"


def granted(reply: HttpResponse, *, request_id: str | None = None) -> LeasedWorkers:
    """Read the answer of `GET /worker?n=`; raises the FleetError that it means where it names no worker.

    A worker that is asked itself names only itself, without a list around it.
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
    )


def sendable_ticket(value: object) -> str:
    """The ticket that a proxy gave; empty where it is none that a header could show."""
    return value if isinstance(value, str) and _is_one_header(value) else ""


def _is_one_header(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _positive(value: object) -> float | None:
    """The number above 0 that the value is; None for anything else, NaN included."""
    return float(value) if isinstance(value, int | float) and value > 0 else None
