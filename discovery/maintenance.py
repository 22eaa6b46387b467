"""Consul's maintenance mode: an operator has asked that nobody is sent to a worker, or to a whole machine.

It is a check that is critical, of the service or of its node, and says nothing of the worker's health.
https://developer.hashicorp.com/consul/api-docs/agent/service#enable-maintenance-mode
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tfleet.contract.identifiers import escaped
from tfleet.discovery.instance import Instance

NODE_CHECK: Final = "_node_maintenance"
SERVICE_CHECK: Final = "_service_maintenance:"
"""Followed by the service's id."""
DEFAULT_REASON: Final = (
    "Maintenance mode is enabled for this {}, but no reason was provided. This is a default message."
)
"""What Consul notes where the operator has given no reason; of a `service` or a `node`."""

_PASSING: Final = "passing"
_MOST_REASON_CHARS: Final = 200
_DEFAULT_REASONS: Final = frozenset({"", *map(DEFAULT_REASON.format, ("service", "node"))})


@dataclass(frozen=True, slots=True)
class Maintained:
    """An instance that the registry lists as being in maintenance, and what to say of it, on one line."""

    instance: Instance
    reason: str


def maintenance(checks: Sequence[object], service_id: str) -> str:
    """What to say of a service with these checks: `maintenance`, with the operator's reason if there is one.

    Empty where it is not in maintenance.
    """
    for check in checks:
        if isinstance(check, Mapping) and _of_maintenance(check, service_id):
            said = check.get("Notes")
            if not isinstance(said, str) or said in _DEFAULT_REASONS:
                return "maintenance"
            return f"maintenance: {escaped(said, _MOST_REASON_CHARS)}"
    return ""


def without_maintenance(checks: Sequence[object], service_id: str) -> list[object]:
    """The checks that say something of its health."""
    return [
        check for check in checks if not (isinstance(check, Mapping) and _of_maintenance(check, service_id))
    ]


def _of_maintenance(check: Mapping[str, Any], service_id: str) -> bool:
    of = check.get("CheckID")
    # Not a set: a stranger's id of a check may be anything that JSON has.
    return of in (NODE_CHECK, f"{SERVICE_CHECK}{service_id}") and check.get("Status") != _PASSING
