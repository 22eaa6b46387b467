"""The state of the registry: services, checks, and the indexes of blocking queries. Pure: no I/O, no clock,
no locks.

The rules, as in Consul 1.8.7:

- A TTL check turns critical when its TTL passes without an update. Each registration and each update
  restarts the TTL. It turns only once: afterwards only an update changes it.
- Registering an existing id replaces the service but *keeps status and output* of its checks, and also
  checks that the new registration does not name, unless `replace_checks` is set.
- A service is removed when one of its checks was critical, by update or by TTL, for the check's
  `deregister_after_s`. The initial status does not count, and a new registration restarts that time.
- An update that does not change the status is no change: heartbeats wake no blocking query.
- A check's id is unique on the node: the last service that registers it owns it.
- An HTTP check takes no updates: the task that runs the `probes` reports results with `probed`.
- Maintenance is a critical check of a service or of the node, and takes no updates, either. It stays when
  the service is registered again, and a second request does not change its reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tfleet.discovery.embedded.check_timer import TimedCheck
from tfleet.discovery.embedded.errors import (
    FullError,
    NotRegisteredError,
    RefusedRequestError,
    UnknownCheckError,
)
from tfleet.discovery.embedded.limits import RegistryLimits
from tfleet.discovery.embedded.model import Check, Entry, HttpProbe, Service, ServiceDefinition, Status
from tfleet.discovery.maintenance import NODE_CHECK, SERVICE_CHECK


class Indexes:
    """A counter that rises with each change, and the last change of each service name.

    An absent name has the index at which any name last became absent, so that a watch on it needs no state
    for the name; before that, the index of the last change of any service. Consul does the same.
    """

    def __init__(self, first: int) -> None:
        self.last = first
        """The index of the last change of anything."""
        self.services = first
        """The index at which a service was last added, changed or removed. Checks do not count."""
        self._of: dict[str, int] = {}
        self._extinction = 0

    def of(self, name: str) -> int:
        """Return the index of the last change of a service of this name, or of its checks."""
        return self._of.get(name) or self._extinction or self.services

    def next(self) -> int:
        """Begin a change; return its index."""
        self.last += 1
        return self.last

    def touch(self, name: str) -> None:
        """The current change affects this name."""
        self._of[name] = self.last

    def forget(self, name: str) -> None:
        """Record that the current change removed the last service of this name."""
        del self._of[name]
        self._extinction = self.last

    def touch_services(self) -> None:
        """The current change affects a service, not only a check."""
        self.services = self.last


@dataclass(slots=True)
class _Record:
    service: Service
    create_index: int
    modify_index: int
    checks: dict[str, TimedCheck]

    def entry(self, of_node: Iterable[Check]) -> Entry:
        checks = (*of_node, *(timed.check for timed in self.checks.values()))
        return Entry(self.service, checks, self.create_index, self.modify_index)


class Catalog:
    """Services and checks of one node, and the indexes that blocking queries wait for."""

    def __init__(self, *, limits: RegistryLimits | None = None, first_index: int = 1) -> None:
        self._limits = limits or RegistryLimits()
        self._indexes = Indexes(first_index)
        self._records: dict[str, _Record] = {}
        self._by_name: dict[str, dict[str, _Record]] = {}
        self._owner: dict[str, _Record] = {}  # check id -> the record it is in
        self._probes: dict[str, HttpProbe] = {}
        self._of_node: dict[str, Check] = {}
        self._due = math.inf

    def __repr__(self) -> str:
        return (
            f"<Catalog services={len(self._records)} names={len(self._by_name)} "
            f"checks={len(self._owner)} index={self.index}>"
        )

    @property
    def index(self) -> int:
        """The index of the last change of anything."""
        return self._indexes.last

    @property
    def services_index(self) -> int:
        """The index at which a service was last added, changed or removed; checks do not count."""
        return self._indexes.services

    def service_index(self, name: str) -> int:
        """Return the index of the last change of a service of this name, or of its checks."""
        return self._indexes.of(name)

    @property
    def due(self) -> float:
        """A lower bound of when `expire` has something to do; infinity if nothing is timed."""
        return self._due

    @property
    def probes(self) -> Mapping[str, HttpProbe]:
        """The request of each HTTP check, by the check's id."""
        return self._probes

    def names(self) -> Mapping[str, tuple[str, ...]]:
        """Return each service name with the tags of its instances, without duplicates."""
        return {
            name: tuple(dict.fromkeys(tag for record in records.values() for tag in record.service.tags))
            for name, records in self._by_name.items()
        }

    def instances(self, name: str) -> tuple[Entry, ...]:
        """Return the services of this name, in the order of their registration."""
        of_node = self._of_node.values()
        return tuple(record.entry(of_node) for record in self._by_name.get(name, {}).values())

    def entry(self, service_id: str) -> Entry | None:
        """Return the service with this id, or None."""
        record = self._records.get(service_id)
        return record.entry(self._of_node.values()) if record else None

    def checks(self, check_id: str | None = None) -> tuple[Check, ...]:
        """Return all checks, or the one with this id if it exists."""
        if check_id is None:
            of_services = (record.checks[key].check for key, record in self._owner.items())
            return (*self._of_node.values(), *of_services)
        if check_id in self._of_node:
            return (self._of_node[check_id],)
        owner = self._owner.get(check_id)
        return (owner.checks[check_id].check,) if owner else ()

    def entries(self) -> Iterator[Entry]:
        """Return all services."""
        return (record.entry(self._of_node.values()) for record in self._records.values())

    def register(self, registration: ServiceDefinition, now: float, *, replace_checks: bool = False) -> None:
        """Add a service with its checks, or replace it.

        Raises FullError if the registry has as many services or HTTP checks as it may, RefusedRequestError
        if the service would have too many checks; then nothing has changed.
        """
        service, limits = registration.service, self._limits.catalog
        old = self._records.get(service.id)
        if old is None and len(self._records) >= limits.services:
            raise FullError(f"the registry is full: it holds {limits.services} services")
        index = self.index + 1
        # A new registration keeps existing checks: a restarted client must not appear healthy before its
        # heartbeat.
        checks: dict[str, TimedCheck] = {}
        if old and not replace_checks:
            checks = {key: timed.adopted_by(service, index) for key, timed in old.checks.items()}
        for definition in registration.checks:
            owner = self._owner.get(definition.id)
            prior = owner.checks[definition.id].check if owner else None
            checks[definition.id] = TimedCheck.start(definition, service, prior, now=now, index=index)
        if sum(t.check.type != "maintenance" for t in checks.values()) > limits.checks_per_service:
            raise RefusedRequestError(f"Invalid check: more than {limits.checks_per_service} of one service")
        # Counted before anything is stored: a rejected registration must leave no trace.
        probed = {check_id for check_id, timed in checks.items() if timed.http}
        max_probed = self._limits.http_checks.checks
        if probed and len(probed | self._probes.keys()) > max_probed:
            raise FullError(f"the registry is full: it holds {max_probed} HTTP checks")
        self._store(service, checks, old)

    def deregister(self, service_id: str) -> bool:
        """Remove a service with its checks; False if it does not exist."""
        record = self._records.pop(service_id, None)
        if record is None:
            return False
        self._disown(record.checks)
        # In this order: the name's index must be the one of this change.
        self._indexes.next()
        self._indexes.touch_services()
        self._leave_name(record.service)
        return True

    def update_check(self, check_id: str, status: Status, output: str, now: float) -> None:
        """Take a heartbeat: set status and output, and restart the TTL. Raises UnknownCheckError."""
        owner = self._owner.get(check_id)
        if owner is None or owner.checks[check_id].check.type != "ttl":
            raise UnknownCheckError(check_id)
        timed = owner.checks[check_id]
        # The TTL restarts also when the status stays the same, which is the usual heartbeat.
        timed.heartbeat(self._cut(output), now)
        self._set_status(timed, status, timed.last_output, now)

    def maintain(self, service_id: str, notes: str | None) -> None:
        """Put a service into maintenance, with the reason in `notes`, or end it (None).

        Raises NotRegisteredError.
        """
        record = self._records.get(service_id)
        if record is None:
            raise NotRegisteredError(service_id)
        check_id = f"{SERVICE_CHECK}{service_id}"
        # Already so: a repeated request must not raise the index and wake all blocking queries.
        if (check_id in record.checks) == (notes is not None):
            return
        index = self._indexes.next()
        self._indexes.touch(record.service.name)
        if check_id in self._owner:  # of this service, or of another one that registered a check with this id
            del self._owner[check_id].checks[check_id]
            self._disown([check_id])
        if notes is not None:
            check = _maintenance(
                check_id, "Service Maintenance Mode", self._cut(notes), index, record.service
            )
            record.checks[check_id] = TimedCheck.of_maintenance(check)
            self._owner[check_id] = record

    def maintain_node(self, notes: str | None) -> None:
        """Put the node, and with it all its services, into maintenance, or end it (None)."""
        if (NODE_CHECK in self._of_node) == (notes is not None):
            return
        index = self._indexes.next()
        for name in self._by_name:
            self._indexes.touch(name)
        if notes is None:
            del self._of_node[NODE_CHECK]
        else:
            self._of_node[NODE_CHECK] = _maintenance(
                NODE_CHECK, "Node Maintenance Mode", self._cut(notes), index
            )

    def probed(self, check_id: str, status: Status, output: str, now: float) -> None:
        """Take a probe's result. It is ignored if the check was removed in the meantime."""
        if check_id in self._probes:
            self._set_status(self._owner[check_id].checks[check_id], status, self._cut(output), now)

    def expire(self, now: float) -> float:
        """Turn expired checks critical and remove expired services; return when to call this again.

        Infinity means not before the next registration or update (see `due`).
        """
        expired, due = [], math.inf
        for record in self._records.values():
            for timed in record.checks.values():
                if timed.expires_at <= now:
                    # It expires once only; until the next update there is nothing more to wait for.
                    timed.expires_at = math.inf
                    self._set_status(timed, "critical", timed.expired_output(), now)
            first = min((timed.due for timed in record.checks.values()), default=math.inf)
            if first <= now:
                expired.append(record.service.id)
            else:
                due = min(due, first)
        for service_id in expired:
            self.deregister(service_id)
        self._due = due
        return due

    def _store(self, service: Service, checks: dict[str, TimedCheck], old: _Record | None) -> None:
        index = self.index + 1
        # Registering the same again must not raise the index: workers do it after every doubt, and each
        # change wakes all blocking queries.
        same_service = old is not None and old.service == service
        same_checks = old is not None and old.checks.keys() == checks.keys()
        if not same_service or not same_checks or any(t.check.modify_index == index for t in checks.values()):
            self._indexes.next()
            if old and old.service.name != service.name:
                self._leave_name(old.service)
            self._indexes.touch(service.name)
        if not same_service:
            self._indexes.touch_services()
        record = _Record(
            service,
            old.create_index if old else index,
            old.modify_index if old and same_service else index,
            checks,
        )
        self._disown(old.checks if old else ())
        for check_id, timed in checks.items():
            # The check moves to its new owner, and the watches on the old one see it go.
            loser = self._owner.get(check_id)
            if loser:
                del loser.checks[check_id]
                self._indexes.touch(loser.service.name)
                self._disown([check_id])
            self._owner[check_id] = record
            if timed.http:
                self._probes[check_id] = timed.http
            self._due = min(self._due, timed.due)
        self._records[service.id] = record
        self._by_name.setdefault(service.name, {})[service.id] = record

    def _disown(self, check_ids: Iterable[str]) -> None:
        for check_id in check_ids:
            del self._owner[check_id]
            self._probes.pop(check_id, None)

    def _leave_name(self, service: Service) -> None:
        instances = self._by_name[service.name]
        del instances[service.id]
        if instances:
            self._indexes.touch(service.name)
        else:
            del self._by_name[service.name]
            self._indexes.forget(service.name)

    def _set_status(self, timed: TimedCheck, status: Status, output: str, now: float) -> None:
        index = timed.check.modify_index
        if status != timed.check.status:
            index = self._indexes.next()
            self._indexes.touch(timed.check.service_name)
        timed.set_status(status, output, now=now, index=index)
        self._due = min(self._due, timed.due)

    def _cut(self, output: str) -> str:
        raw, most = output.encode(), self._limits.catalog.output_bytes
        if len(raw) <= most:
            return output
        return f"{raw[:most].decode(errors='ignore')} ... (captured {most} of {len(raw)} bytes)"


def _maintenance(check_id: str, name: str, notes: str, index: int, service: Service | None = None) -> Check:
    service_id, service_name, tags = (
        ("", "", ()) if service is None else (service.id, service.name, service.tags)
    )
    return Check(
        check_id, name, "critical", notes, "", service_id, service_name, tags, index, index, "maintenance"
    )
