"""An instance of a service (a worker or a proxy), parsed from the registry's answers."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfleet.contract.address import Address, address_of, is_host
from tfleet.contract.identifiers import escaped, is_label, is_token
from tfleet.contract.names import WAN


@dataclass(frozen=True, slots=True)
class Instance:
    """One registered worker: its id, the address it advertises and the model it serves.

    `wan` is an address for clients outside the fleet's network, if there is one. A `wan` host of 0.0.0.0
    means every address of the machine that the worker's container runs on.
    """

    id: str
    address: Address
    model: str = ""
    version: str = ""
    wan: Address | None = None

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


def from_health_entry(entry: Mapping[str, Any]) -> Instance | RejectedEntry | None:
    """Parse one element of Consul's `/v1/health/service/NAME`; None if it lacks what routing needs.

    A service without an address has its node's, as Consul documents for that endpoint.
    """
    service = entry.get("Service")
    if not isinstance(service, Mapping):
        return None
    host, instance_id, port = host_of(entry), service.get("ID"), service.get("Port")
    if not isinstance(instance_id, str):
        return None
    meta = service.get("Meta")
    if not isinstance(meta, Mapping):
        meta = {}
    model, version = str(meta.get("model", "")), str(meta.get("version", ""))
    if reason := _invalid_text(instance_id, host, model, version):
        return RejectedEntry(instance_id, reason)
    address = address_of(host, port)
    if address is None:
        return None
    return Instance(instance_id, address, model, version, wan=_wan(service.get("TaggedAddresses")))


def host_of(entry: Mapping[str, Any]) -> object:
    """Return the host of a health entry, of whatever type: the service's own, otherwise its node's."""
    service, node = entry.get("Service"), entry.get("Node")
    own = service.get("Address") if isinstance(service, Mapping) else None
    return own or (node.get("Address") if isinstance(node, Mapping) else None)


def _invalid_text(instance_id: str, host: object, model: str, version: str) -> str:
    """Describe the first field that is not valid plain text; empty if all are valid."""
    if not is_token(instance_id):
        return f"its id is not a valid token: '{escaped(instance_id)}'"
    for what, text, valid in (
        ("model", model, is_label(model)),
        ("version", version, is_label(version)),
        ("address", str(host), not isinstance(host, str) or not host or is_host(host)),
    ):
        if not valid:
            return f"the {what} of {escaped(instance_id)} is not valid plain text: '{escaped(text)}'"
    return ""


def _wan(tagged: object) -> Address | None:
    """Return the address tagged `wan`. Consul's own tags (wan_ipv4) only repeat the service's address."""
    wan = tagged.get(WAN) if isinstance(tagged, Mapping) else None
    return address_of(wan.get("Address"), wan.get("Port")) if isinstance(wan, Mapping) else None


def is_passing(entry: Mapping[str, Any]) -> bool:
    """Whether every check of a health entry passes, including the node's own (serfHealth, maintenance)."""
    return all(status == "passing" for status in check_statuses(entry))


def check_statuses(entry: Mapping[str, Any]) -> list[object]:
    """Return the status of each check of a health entry; None for an invalid check."""
    return [check.get("Status") if isinstance(check, Mapping) else None for check in checks_of(entry)]


def checks_of(entry: Mapping[str, Any]) -> Sequence[object]:
    """Return the checks of a health entry; one invalid check if they are not a list."""
    checks = entry.get("Checks") or ()
    return checks if isinstance(checks, Sequence) and not isinstance(checks, str) else (None,)
