"""An instance as the registry lists it, ill or well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tfleet.discovery.instance import Instance, from_health_entry, statuses


class Status(StrEnum):
    """What checks say, in Consul's words."""

    PASSING = "passing"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Listing:
    """An instance, the node whose agent registered it, and the worst that its checks say."""

    instance: Instance
    node: str
    status: Status


def listings(entries: Any) -> tuple[Listing, ...]:
    """Read the list of `/v1/health/service/NAME`, leaving out entries that nobody could route to.

    Raises TypeError where it is no list.
    """
    if not isinstance(entries, list):
        raise TypeError(f"expected a list, got {type(entries).__name__}")
    found = (_listing(entry) for entry in entries if isinstance(entry, Mapping))
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.instance.id))


def worst(statuses: list[object]) -> Status:
    """The worst of several; what is none that we know is critical, and nothing at all is passing."""
    if all(status == Status.PASSING for status in statuses):
        return Status.PASSING
    well_enough = all(status in {Status.PASSING, Status.WARNING} for status in statuses)
    return Status.WARNING if well_enough else Status.CRITICAL


def _listing(entry: Mapping[str, Any]) -> Listing | None:
    instance, node = from_health_entry(entry), entry.get("Node")
    if instance is None or not isinstance(node, Mapping):
        return None
    return Listing(instance, str(node.get("Node", "")), worst(statuses(entry)))
