"""Consul's maintenance mode: an operator takes a service, or a whole node, out of use.

Consul represents it as a critical check of the service or of its node. It says nothing about the worker's
health. https://developer.hashicorp.com/consul/api-docs/agent/service#enable-maintenance-mode
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tfleet.contract.identifiers import escaped
from tfleet.discovery.instance import Instance

NODE_CHECK: Final = "_node_maintenance"
SERVICE_CHECK: Final = "_service_maintenance:"
"""The prefix of the check's id; the service's id follows."""
DEFAULT_REASON: Final = (
    "Maintenance mode is enabled for this {}, but no reason was provided. This is a default message."
)
"""Consul's note if the operator gave no reason, for a `service` or a `node`."""

_PASSING: Final = "passing"
_MAX_REASON_CHARS: Final = 200
_DEFAULT_REASONS: Final = frozenset({"", *map(DEFAULT_REASON.format, ("service", "node"))})


@dataclass(frozen=True, slots=True)
class Maintained:
    """An instance in maintenance mode, and the reason in one line."""

    instance: Instance
    reason: str


def maintenance_reason(checks: Sequence[object], service_id: str) -> str:
    """Return `maintenance`, with the operator's reason if there is one; empty if the service is not in
    maintenance.
    """
    for check in checks:
        if isinstance(check, Mapping) and _is_maintenance(check, service_id):
            notes = check.get("Notes")
            if not isinstance(notes, str) or notes in _DEFAULT_REASONS:
                return "maintenance"
            return f"maintenance: {escaped(notes, _MAX_REASON_CHARS)}"
    return ""


def without_maintenance(checks: Sequence[object], service_id: str) -> list[object]:
    """Return the checks that are about the service's health."""
    return [
        check for check in checks if not (isinstance(check, Mapping) and _is_maintenance(check, service_id))
    ]


def _is_maintenance(check: Mapping[str, Any], service_id: str) -> bool:
    check_id = check.get("CheckID")
    # A tuple and not a set: the id comes from outside and may be an unhashable JSON value.
    return check_id in (NODE_CHECK, f"{SERVICE_CHECK}{service_id}") and check.get("Status") != _PASSING
