"""The instances of a service with their status, as the registry lists them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tfleet.discovery.instance import Instance, RejectedEntry
from tfleet.discovery.maintenance import Maintained


class ListingStatus(StrEnum):
    """The status of checks, in Consul's words."""

    PASSING = "passing"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Listing:
    """An instance, the node whose agent registered it, and the worst status of its checks.

    `rejected` is why the entry is unusable, empty if it is usable; an unusable one has only its original
    id.
    """

    instance: Instance
    node: str
    status: ListingStatus
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class ServiceList:
    """The instances of a service, by status; each tuple is ordered by id.

    All checks of `passing` instances pass. Those in `maintained` are in maintenance mode, whatever their
    other checks say. `failing_checks` are the ids of all other instances. `rejected` entries are unusable.
    """

    passing: tuple[Instance, ...] = ()
    maintained: tuple[Maintained, ...] = ()
    failing_checks: tuple[str, ...] = ()
    rejected: tuple[RejectedEntry, ...] = ()
