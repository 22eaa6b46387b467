"""Parses Consul's answer to `/v1/health/service/NAME`.

Data from other processes is validated here: entries that can't be used are rejected or left out.
https://developer.hashicorp.com/consul/api-docs/health#list-service-instances-for-service
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfleet.contract.address import Address, address_of, is_host
from tfleet.contract.identifiers import escaped, is_label, is_token
from tfleet.contract.names import WAN
from tfleet.discovery.consul.service_meta import ServedModel, served_model
from tfleet.discovery.instance import Instance, RejectedEntry
from tfleet.discovery.listing import Listing, ListingStatus, ServiceList
from tfleet.discovery.maintenance import Maintained, maintenance_reason, without_maintenance


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


def from_health_entry(entry: Mapping[str, Any]) -> Instance | RejectedEntry | None:
    """Parse one element of Consul's `/v1/health/service/NAME`; None if it lacks what routing needs.

    A service without an address has its node's, as Consul documents for that endpoint.
    """
    service = entry.get("Service")
    if not isinstance(service, Mapping):
        return None
    host, instance_id, port = host_of(entry), service.get("ID"), service.get("Port")
    if not isinstance(instance_id, str):
        return None
    served = served_model(service.get("Meta"))
    if reason := _invalid_text(instance_id, host, served):
        return RejectedEntry(instance_id, reason)
    address = address_of(host, port)
    if address is None:
        return None
    wan = _wan(service.get("TaggedAddresses"))
    return Instance(instance_id, address, served.model, served.version, wan, served.kind, served.stateful)


def host_of(entry: Mapping[str, Any]) -> object:
    """Return the host of a health entry, of whatever type: the service's own, otherwise its node's."""
    service, node = entry.get("Service"), entry.get("Node")
    own = service.get("Address") if isinstance(service, Mapping) else None
    return own or (node.get("Address") if isinstance(node, Mapping) else None)


def _invalid_text(instance_id: str, host: object, served: ServedModel) -> str:
    """Describe the first field that is not valid plain text; empty if all are valid."""
    if not is_token(instance_id):
        return f"its id is not a valid token: '{escaped(instance_id)}'"
    for what, text, valid in (
        *((key, text, is_label(text)) for key, text in served.texts()),
        ("address", str(host), not isinstance(host, str) or not host or is_host(host)),
    ):
        if not valid:
            return f"the {what} of {escaped(instance_id)} is not valid plain text: '{escaped(text)}'"
    return ""


def _wan(tagged: object) -> Address | None:
    """Return the address tagged `wan`. Consul's own tags (wan_ipv4) only repeat the service's address."""
    wan = tagged.get(WAN) if isinstance(tagged, Mapping) else None
    return address_of(wan.get("Address"), wan.get("Port")) if isinstance(wan, Mapping) else None


def is_passing(entry: Mapping[str, Any]) -> bool:
    """Whether every check of a health entry passes, including the node's own (serfHealth, maintenance)."""
    return all(status == "passing" for status in check_statuses(entry))


def check_statuses(entry: Mapping[str, Any]) -> list[object]:
    """Return the status of each check of a health entry; None for an invalid check."""
    return [check.get("Status") if isinstance(check, Mapping) else None for check in checks_of(entry)]


def checks_of(entry: Mapping[str, Any]) -> Sequence[object]:
    """Return the checks of a health entry; one invalid check if they are not a list."""
    checks = entry.get("Checks") or ()
    return checks if isinstance(checks, Sequence) and not isinstance(checks, str) else (None,)
