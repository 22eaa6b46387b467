"""The registry's data: services, their checks, and the node."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeGuard

Status = Literal["passing", "warning", "critical"]
CheckType = Literal["ttl", "http", "maintenance"]

STATUSES: Final[tuple[Status, ...]] = ("passing", "warning", "critical")
DATACENTER: Final = "dc1"


def is_status(text: str) -> TypeGuard[Status]:
    """Whether the text is one of Consul's three statuses."""
    return text in STATUSES


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights for DNS: stored and returned, but not used."""

    passing: int = 1
    warning: int = 1


@dataclass(frozen=True, slots=True)
class TaggedAddress:
    """An additional address of a service, such as `lan_ipv4`."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Service:
    """One instance of a service as registered. Without an address it has its node's."""

    id: str
    name: str
    address: str = ""
    port: int = 0
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    tagged_addresses: Mapping[str, TaggedAddress] = field(default_factory=dict)
    weights: Weights = Weights()
    enable_tag_override: bool = False


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """A GET that the registry sends every `interval_s`: 2xx is passing, 429 warning, anything else critical.

    It reaches only the machine of the `registrant`, the address that registered it.
    """

    url: str
    interval_s: float
    timeout_s: float
    registrant: str


@dataclass(frozen=True, slots=True)
class CheckDefinition:
    """A check as registered: it turns critical without an update every `ttl_s` seconds.

    With `http` the registry sends the requests itself and takes no updates; `ttl_s` is infinite then. If
    `deregister_after_s` is over 0, the service is removed after it was critical for that long.
    """

    id: str
    name: str
    ttl_s: float
    status: Status = "critical"
    notes: str = ""
    deregister_after_s: float = 0.0
    http: HttpProbe | None = None


@dataclass(frozen=True, slots=True)
class ServiceDefinition:
    """The content of one registration."""

    service: Service
    checks: tuple[CheckDefinition, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """The state of a check, as in health answers."""

    id: str
    name: str
    status: Status
    notes: str
    output: str
    service_id: str
    service_name: str
    service_tags: tuple[str, ...]
    create_index: int
    modify_index: int
    type: CheckType = "ttl"


@dataclass(frozen=True, slots=True)
class Entry:
    """A service and its checks at one moment."""

    service: Service
    checks: tuple[Check, ...]
    create_index: int
    modify_index: int

    @property
    def is_passing(self) -> bool:
        """Whether all checks are passing."""
        return all(check.status == "passing" for check in self.checks)


@dataclass(frozen=True, slots=True)
class Node:
    """The only node. `id` is new at each start; `address` is the address of services without one."""

    name: str = "embedded"
    address: str = "127.0.0.1"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
