"""A worker as the fleet knows it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfleet.discovery.address import Address, address_of
from tfleet.discovery.contract import WAN


@dataclass(frozen=True, slots=True)
class Instance:
    """One registered worker: its id, the address it advertises and the model it serves.

    `wan` is an address for clients that are not in the fleet's network, where there is one. Its host may be
    every interface's (0.0.0.0): then it is every address of the machine that the worker's container is on.
    """

    id: str
    address: Address
    model: str = ""
    version: str = ""
    wan: Address | None = None

    @property
    def model_label(self) -> str:
        """`name/version`, as the header X-Model has it; empty where nobody said it (a static list)."""
        return f"{self.model}/{self.version}" if self.model else ""


def new_id(service: str, address: Address) -> str:
    """An id that no other start of any worker has: service, host, port and a start nonce.

    The nonce keeps a restarted worker apart from its own corpse, and from a stranger that got its address.
    """
    host = address.host.replace(":", "-")
    return f"{service}-{host}-{address.port}-{secrets.token_hex(4)}"


def from_health_entry(entry: Mapping[str, Any]) -> Instance | None:
    """Read one element of Consul's `/v1/health/service/NAME`; None where it lacks what routing needs.

    A service without an address of its own has its node's, as Consul's documentation of that endpoint says.
    """
    service = entry.get("Service")
    node = entry.get("Node")
    if not isinstance(service, Mapping):
        return None
    host = service.get("Address") or (node.get("Address") if isinstance(node, Mapping) else None)
    address, instance_id = address_of(host, service.get("Port")), service.get("ID")
    if address is None or not isinstance(instance_id, str):
        return None
    meta = service.get("Meta")
    if not isinstance(meta, Mapping):
        meta = {}
    return Instance(
        instance_id,
        address,
        model=str(meta.get("model", "")),
        version=str(meta.get("version", "")),
        wan=_wan(service.get("TaggedAddresses")),
    )


def _wan(tagged: object) -> Address | None:
    """The tag that somebody has set. One that Consul makes up (wan_ipv4) is the service's own address."""
    wan = tagged.get(WAN) if isinstance(tagged, Mapping) else None
    return address_of(wan.get("Address"), wan.get("Port")) if isinstance(wan, Mapping) else None


def is_passing(entry: Mapping[str, Any]) -> bool:
    """Whether every check of a health entry passes, the node's own (serfHealth, maintenance) included."""
    return all(status == "passing" for status in statuses(entry))


def statuses(entry: Mapping[str, Any]) -> list[object]:
    """What each check of a health entry says; None for what is no check."""
    checks = entry.get("Checks") or ()
    if not isinstance(checks, Sequence) or isinstance(checks, str):
        return [None]
    return [check.get("Status") if isinstance(check, Mapping) else None for check in checks]
