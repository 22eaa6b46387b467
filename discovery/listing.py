"""Parsed answers of the registry: the instances of a service with their status.

This is where data from other processes is validated; entries that cannot be used are rejected or left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tfleet.contract.address import Address
from tfleet.contract.identifiers import escaped
from tfleet.discovery.instance import (
    Instance,
    RejectedEntry,
    checks_of,
    from_health_entry,
    host_of,
    is_passing,
)
from tfleet.discovery.maintenance import Maintained, maintenance_reason, without_maintenance


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


def parse_service_list(entries: Any) -> ServiceList:
    """Parse the answer of `/v1/health/service/NAME`, without entries that lack what routing needs.

    Raises TypeError if it is not a list.
    """
    passing: list[Instance] = []
    maintained: list[Maintained] = []
    failing_checks: list[str] = []
    rejected: list[RejectedEntry] = []
    for entry in _entries(entries):
        found = from_health_entry(entry)
        if isinstance(found, RejectedEntry):
            rejected.append(found)
        elif found is None:
            continue
        # Before is_passing: maintenance is a critical check, and an operator's wish, not a failure.
        elif reason := maintenance_reason(checks_of(entry), found.id):
            maintained.append(Maintained(found, reason))
        elif is_passing(entry):
            passing.append(found)
        else:
            failing_checks.append(found.id)
    return ServiceList(
        tuple(sorted(passing, key=lambda instance: instance.id)),
        tuple(sorted(maintained, key=lambda one: one.instance.id)),
        tuple(sorted(failing_checks)),
        tuple(sorted(rejected, key=lambda one: one.id)),
    )


def parse_listings(entries: Any, *, include_rejected: bool = False) -> tuple[Listing, ...]:
    """Parse the answer of `/v1/health/service/NAME` into listings, ordered by id.

    Unusable entries are left out unless `include_rejected`. Raises TypeError if it is not a list.
    """
    parsed = (_listing(entry) for entry in _entries(entries))
    found = (one for one in parsed if one is not None and (include_rejected or not one.rejected))
    return tuple(sorted(found, key=lambda one: one.instance.id))


def worst_status(statuses: list[object]) -> ListingStatus:
    """The worst of several statuses. An unknown one counts as critical; without any it is passing."""
    if all(status == ListingStatus.PASSING for status in statuses):
        return ListingStatus.PASSING
    at_most_warning = all(status in {ListingStatus.PASSING, ListingStatus.WARNING} for status in statuses)
    return ListingStatus.WARNING if at_most_warning else ListingStatus.CRITICAL


def _entries(entries: Any) -> Iterable[Mapping[str, Any]]:
    if not isinstance(entries, list):
        raise TypeError(f"expected a list, got {type(entries).__name__}")
    return (entry for entry in entries if isinstance(entry, Mapping))


def _listing(entry: Mapping[str, Any]) -> Listing | None:
    found, node = from_health_entry(entry), entry.get("Node")
    if found is None or not isinstance(node, Mapping):
        return None
    statuses = [
        check.get("Status") if isinstance(check, Mapping) else None
        for check in without_maintenance(checks_of(entry), found.id)
    ]
    name, status = str(node.get("Node", "")), worst_status(statuses)
    if isinstance(found, RejectedEntry):
        # Only for tables that name the entry; nothing connects to this address.
        port = entry["Service"].get("Port")
        unusable = Address(escaped(str(host_of(entry))), port if isinstance(port, int) else 0)
        return Listing(Instance(found.id, unusable), name, status, found.reason)
    return Listing(found, name, status)
