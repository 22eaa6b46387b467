"""An instance of a service: a worker or a proxy, and where it is."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from tfleet.contract.address import Address


@dataclass(frozen=True, slots=True)
class Instance:
    """One registered worker: its id, the address it advertises and the model it serves.

    `wan` is an address for clients outside the fleet's network, if there is one. A `wan` host of 0.0.0.0
    means every address of the machine that the worker's container runs on. `kind` is what the model takes
    (`image`, `table`, ...), empty if unknown. A `stateful` model changes with each request, so no request may
    be sent to it twice.
    """

    id: str
    address: Address
    model: str = ""
    version: str = ""
    wan: Address | None = None
    kind: str = ""
    stateful: bool = False

    @property
    def model_label(self) -> str:
        """`name/version`, as in the X-Model header; empty if unknown (a static list)."""
        return f"{self.model}/{self.version}" if self.model else ""


def new_id(service: str, address: Address) -> str:
    """Return a unique id for this start of the process: service, host, port and a random nonce.

    The nonce tells a restarted worker from its earlier registration, and from another worker that got its
    address.
    """
    host = address.host.replace(":", "-")
    return f"{service}-{host}-{address.port}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class RejectedEntry:
    """A registration that is unusable because its data is invalid; `id` is unchanged.

    `reason` is one line of bounded length and printable ASCII, for logs and tables.
    """

    id: str
    reason: str
