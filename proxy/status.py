"""`GET /workers`: the table behind `tfleet status`."""

from __future__ import annotations

from tfleet.proxy.fleet import Fleet
from tfleet.proxy.pool import Member


def workers_document(fleet: Fleet) -> dict[str, object]:
    """All workers the proxy knows, in the order in which it met them."""
    return {"workers": [_row(fleet, member) for member in fleet.pool.members.values()]}


def _row(fleet: Fleet, member: Member) -> dict[str, object]:
    return {
        "id": member.id,
        "address": str(member.instance.address),
        "model": member.instance.model,
        "version": member.instance.version,
        "state": member.state,
        "weight": round(fleet.weight(member), 2),
        "listed": member.listed,
        "in_flight": fleet.in_flight(member.id),
        "failures": member.failures,
        "last_error": member.last_error,
    }
