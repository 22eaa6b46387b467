"""The first step of p2p mode: which worker to talk to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from tfleet.client.answer import succeeded
from tfleet.client.errors import UnexpectedAnswerError
from tfleet.discovery.address import Address, BadAddressError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tfleet.client.reply import Reply

_PATH: Final = "/worker"


@dataclass(frozen=True, slots=True)
class FoundWorker:
    """A worker that the proxy named: it may be used for `expires_in_s` seconds (0 where the proxy did not
    say). One without an id goes by its address.
    """

    id: str
    address: Address
    model: str = ""
    version: str = ""
    expires_in_s: float = 0.0


def path(avoided: Iterable[str] = ()) -> str:
    """Path and query of the question for a worker that is none of those with the ids `avoided`."""
    query = urlencode([("except", worker_id) for worker_id in avoided])
    return f"{_PATH}?{query}" if query else _PATH


def found_worker(reply: Reply, *, request_id: str | None = None) -> FoundWorker:
    """Read the answer of `GET /worker`; raises the FleetError that it means where it names no worker."""
    document = succeeded(reply, request_id=request_id)
    address = document.get("address")
    expires_in_s = document.get("expires_in_s")
    if not isinstance(address, str):
        raise UnexpectedAnswerError(
            f"{reply.url} named no worker: is the address a tfleet proxy's?",
            status=reply.status,
            request_id=request_id,
        )
    try:
        parsed = Address.parse(address)
    except BadAddressError as error:
        raise UnexpectedAnswerError(
            f"{reply.url}: {error}", status=reply.status, request_id=request_id
        ) from error
    return FoundWorker(
        id=str(document.get("id") or parsed),
        address=parsed,
        model=str(document.get("model", "")),
        version=str(document.get("version", "")),
        expires_in_s=float(expires_in_s) if isinstance(expires_in_s, int | float) else 0.0,
    )
