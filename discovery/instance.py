"""A worker as the fleet knows it."""

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


@dataclass(frozen=True, slots=True)
class Refused:
    """A registration that nobody is sent to, because of what somebody has put into it; `id` is as it came.

    `reason` is one line of bounded length and plain characters, for logs and tables.
    """

    id: str
    reason: str


def from_health_entry(entry: Mapping[str, Any]) -> Instance | Refused | None:
    """Read one element of Consul's `/v1/health/service/NAME`; None where it lacks what routing needs.

    A service without an address of its own has its node's, as Consul's documentation of that endpoint says.
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
    if reason := _unclean(instance_id, host, model, version):
        return Refused(instance_id, reason)
    address = address_of(host, port)
    if address is None:
        return None
    return Instance(instance_id, address, model, version, wan=_wan(service.get("TaggedAddresses")))


def host_of(entry: Mapping[str, Any]) -> object:
    """The host of a health entry, whatever that is: the service's own, or else its node's."""
    service, node = entry.get("Service"), entry.get("Node")
    own = service.get("Address") if isinstance(service, Mapping) else None
    return own or (node.get("Address") if isinstance(node, Mapping) else None)


def _unclean(instance_id: str, host: object, model: str, version: str) -> str:
    """What of it is no plain text, and by whom; empty where all is."""
    if not is_token(instance_id):
        return f"its id is no plain token: '{escaped(instance_id)}'"
    for what, text, clean in (
        ("model", model, is_label(model)),
        ("version", version, is_label(version)),
        ("address", str(host), not isinstance(host, str) or not host or is_host(host)),
    ):
        if not clean:
            return f"the {what} of {escaped(instance_id)} is no plain text: '{escaped(text)}'"
    return ""


def _wan(tagged: object) -> Address | None:
    """The tag that somebody has set. One that Consul makes up (wan_ipv4) is the service's own address."""
    wan = tagged.get(WAN) if isinstance(tagged, Mapping) else None
    return address_of(wan.get("Address"), wan.get("Port")) if isinstance(wan, Mapping) else None


def is_passing(entry: Mapping[str, Any]) -> bool:
    """Whether every check of a health entry passes, the node's own (serfHealth, maintenance) included."""
    return all(status == "passing" for status in statuses(entry))


def statuses(entry: Mapping[str, Any]) -> list[object]:
    """What each check of a health entry says; None for what is no check."""
    return [check.get("Status") if isinstance(check, Mapping) else None for check in checks_of(entry)]


def checks_of(entry: Mapping[str, Any]) -> Sequence[object]:
    """The checks of a health entry; one that is none where they are no list."""
    checks = entry.get("Checks") or ()
    return checks if isinstance(checks, Sequence) and not isinstance(checks, str) else (None,)
