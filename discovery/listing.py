"""An instance as the registry lists it, ill or well.

What the registry lists of a service, by what it says of each: the border for data of strangers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tfleet.contract.address import Address
from tfleet.contract.identifiers import escaped
from tfleet.discovery.instance import Instance, Refused, checks_of, from_health_entry, host_of, is_passing
from tfleet.discovery.maintenance import Maintained, maintenance, without_maintenance


class ListingStatus(StrEnum):
    """What checks say, in Consul's words."""

    PASSING = "passing"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Listing:
    """An instance, the node whose agent registered it, and the worst that its checks say of its health.

    `refused` is why nobody is sent to it, for what somebody has put into it; then nothing of the instance but
    its id is as it was registered.
    """

    instance: Instance
    node: str
    status: ListingStatus
    refused: str = ""


def listings(entries: Any, *, refused: bool = False) -> tuple[Listing, ...]:
    """Read the list of `/v1/health/service/NAME`, leaving out entries that nobody could route to.

    Those that are `refused` come only to who wants them. Raises TypeError where it is no list.
    """
    if not isinstance(entries, list):
        raise TypeError(f"expected a list, got {type(entries).__name__}")
    read = (_listing(entry) for entry in entries if isinstance(entry, Mapping))
    found = (one for one in read if one is not None and (refused or not one.refused))
    return tuple(sorted(found, key=lambda one: one.instance.id))


def worst(statuses: list[object]) -> ListingStatus:
    """The worst of several; what is none that we know is critical, and nothing at all is passing."""
    if all(status == ListingStatus.PASSING for status in statuses):
        return ListingStatus.PASSING
    well_enough = all(status in {ListingStatus.PASSING, ListingStatus.WARNING} for status in statuses)
    return ListingStatus.WARNING if well_enough else ListingStatus.CRITICAL


def _listing(entry: Mapping[str, Any]) -> Listing | None:
    found, node = from_health_entry(entry), entry.get("Node")
    if found is None or not isinstance(node, Mapping):
        return None
    said = [
        check.get("Status") if isinstance(check, Mapping) else None
        for check in without_maintenance(checks_of(entry), found.id)
    ]
    name, status = str(node.get("Node", "")), worst(said)
    if isinstance(found, Refused):
        port = entry["Service"].get("Port")
        unused = Address(escaped(str(host_of(entry))), port if isinstance(port, int) else 0)
        return Listing(Instance(found.id, unused), name, status, found.reason)
    return Listing(found, name, status)


@dataclass(frozen=True, slots=True)
class ServiceList:
    """Each list is in the order of the ids.

    `passing` are those whose checks all pass. Those in `maintained` are to get nothing, whatever their other
    checks say. `ill` are the ids of all others that are listed; those in `refused` nobody is sent to.
    """

    passing: tuple[Instance, ...] = ()
    maintained: tuple[Maintained, ...] = ()
    ill: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()


def read_roll(entries: Any) -> ServiceList:
    """Read the list of `/v1/health/service/NAME`, leaving out entries that nobody could route to.

    Raises TypeError where it is no list.
    """
    if not isinstance(entries, list):
        raise TypeError(f"expected a list, got {type(entries).__name__}")
    passing: list[Instance] = []
    maintained: list[Maintained] = []
    ill: list[str] = []
    refused: list[Refused] = []
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        found = from_health_entry(entry)
        if isinstance(found, Refused):
            refused.append(found)
        elif found is None:
            continue
        elif reason := maintenance(checks_of(entry), found.id):
            maintained.append(Maintained(found, reason))
        elif is_passing(entry):
            passing.append(found)
        else:
            ill.append(found.id)
    return ServiceList(
        _by_id(passing),
        tuple(sorted(maintained, key=lambda one: one.instance.id)),
        tuple(sorted(ill)),
        tuple(sorted(refused, key=lambda one: one.id)),
    )


def _by_id(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    return tuple(sorted(instances, key=lambda instance: instance.id))
