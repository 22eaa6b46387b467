"""What the registry lists of a service, by what it says of each: the border for data of strangers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tfleet.discovery.instance import Instance, Refused, checks_of, from_health_entry, is_passing
from tfleet.discovery.maintenance import Maintained, maintenance


@dataclass(frozen=True, slots=True)
class Roll:
    """Each list is in the order of the ids.

    `passing` are those whose checks all pass. Those in `maintained` are to get nothing, whatever their other
    checks say. `ill` are the ids of all others that are listed; those in `refused` nobody is sent to.
    """

    passing: tuple[Instance, ...] = ()
    maintained: tuple[Maintained, ...] = ()
    ill: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()


def read_roll(entries: Any) -> Roll:
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
    return Roll(
        _by_id(passing),
        tuple(sorted(maintained, key=lambda one: one.instance.id)),
        tuple(sorted(ill)),
        tuple(sorted(refused, key=lambda one: one.id)),
    )


def _by_id(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    return tuple(sorted(instances, key=lambda instance: instance.id))
