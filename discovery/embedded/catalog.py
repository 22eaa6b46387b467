"""The numbers that blocking queries wait on.

The state of the registry. Pure: no I/O, no clock, no locks; every method that needs the time is told it.

The rules, all of them as Consul 1.8.7 has them:

- A TTL check turns critical when its TTL passes without an update. Each registration and each update starts
  the TTL anew. It does not turn twice: after that only an update changes it.
- Registering an id again replaces the service but *keeps the status and output* of the checks it already had,
  and the checks that the new registration does not name, unless `replace_checks` is said.
- A service goes when one of its checks has been critical, by update or by TTL, for the check's
  `deregister_after_s`. The initial status does not count, and a new registration starts that time again.
- An update that changes no status is no change: heartbeats wake nobody. The indexes are in `indexes.py`.
- A check's id is unique on the node: the last service that registers it has it.
- An HTTP check takes no updates: whoever runs the `probes` tells by `probed` what they found.
- Maintenance is a check that is critical, of a service or of the node, and takes no updates, either. It stays
  when the service is registered again. Who is in maintenance already keeps the reason that it was given.
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
    """One counter that rises with each change and never falls, and for each service name its last change.

    An absent name has the index at which any name last became absent, so that a watch on it needs no memory
    of the name; before the first such, the index of the last change of any service. Consul does the same.
    """

    def __init__(self, first: int) -> None:
        self.last = first
        """Of the last change of anything."""
        self.services = first
        """Of the last time that a service came, changed or went. Checks do not count."""
        self._of: dict[str, int] = {}
        self._extinction = 0

    def of(self, name: str) -> int:
        """Of the last change that touched a service of this name or a check of one."""
        return self._of.get(name) or self._extinction or self.services

    def rise(self) -> int:
        """A change begins: its index."""
        self.last += 1
        return self.last

    def touch(self, name: str) -> None:
        """The change concerns this name."""
        self._of[name] = self.last

    def forget(self, name: str) -> None:
        """With this change the name lost its last service."""
        del self._of[name]
        self._extinction = self.last

    def touch_services(self) -> None:
        """The change is one of a service, not of a check only."""
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
    """Services and checks of one node, and the indexes that blocking queries wait on."""

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
        """The index of the last time that a service came, changed or went; checks do not count."""
        return self._indexes.services

    def service_index(self, name: str) -> int:
        """The index of the last change that touched a service of this name or its checks."""
        return self._indexes.of(name)

    @property
    def due(self) -> float:
        """A lower bound of when `expire` next has something to do; infinity where nothing is timed."""
        return self._due

    @property
    def probes(self) -> Mapping[str, HttpProbe]:
        """What is to be asked for each HTTP check, by its id."""
        return self._probes

    def names(self) -> Mapping[str, tuple[str, ...]]:
        """Each service name with the tags of its instances, without repeats."""
        return {
            name: tuple(dict.fromkeys(tag for record in records.values() for tag in record.service.tags))
            for name, records in self._by_name.items()
        }

    def instances(self, name: str) -> tuple[Entry, ...]:
        """The services of this name, in the order in which they registered."""
        of_node = self._of_node.values()
        return tuple(record.entry(of_node) for record in self._by_name.get(name, {}).values())

    def entry(self, service_id: str) -> Entry | None:
        """The service with this id."""
        record = self._records.get(service_id)
        return record.entry(self._of_node.values()) if record else None

    def checks(self, check_id: str | None = None) -> tuple[Check, ...]:
        """All checks, or the one with this id, if it is there."""
        if check_id is None:
            of_services = (record.checks[key].check for key, record in self._owner.items())
            return (*self._of_node.values(), *of_services)
        if check_id in self._of_node:
            return (self._of_node[check_id],)
        owner = self._owner.get(check_id)
        return (owner.checks[check_id].check,) if owner else ()

    def entries(self) -> Iterator[Entry]:
        """All services."""
        return (record.entry(self._of_node.values()) for record in self._records.values())

    def register(self, registration: ServiceDefinition, now: float, *, replace_checks: bool = False) -> None:
        """Add a service with its checks, or replace it.

        Raises FullError where the registry holds as many services or HTTP checks as it may, RefusedError
        where the service would have too many checks; then nothing has changed.
        """
        service = registration.service
        old = self._records.get(service.id)
        if old is None and len(self._records) >= self._limits.services:
            raise FullError(f"the registry is full: it holds {self._limits.services} services")
        index = self.index + 1
        checks: dict[str, TimedCheck] = {}
        if old and not replace_checks:
            checks = {key: timed.adopted_by(service, index) for key, timed in old.checks.items()}
        for definition in registration.checks:
            owner = self._owner.get(definition.id)
            prior = owner.checks[definition.id].check if owner else None
            checks[definition.id] = TimedCheck.start(definition, service, prior, now=now, index=index)
        if sum(t.check.type != "maintenance" for t in checks.values()) > self._limits.checks_per_service:
            raise RefusedRequestError(
                f"Invalid check: more than {self._limits.checks_per_service} of one service"
            )
        probed = {check_id for check_id, timed in checks.items() if timed.http}
        if probed and len(probed | self._probes.keys()) > self._limits.http_checks:
            raise FullError(f"the registry is full: it holds {self._limits.http_checks} HTTP checks")
        self._store(service, checks, old)

    def deregister(self, service_id: str) -> bool:
        """Remove a service with its checks; False where there is no such service."""
        record = self._records.pop(service_id, None)
        if record is None:
            return False
        self._disown(record.checks)
        self._indexes.rise()
        self._indexes.touch_services()
        self._leave_name(record.service)
        return True

    def update_check(self, check_id: str, status: Status, output: str, now: float) -> None:
        """A heartbeat: set status and output, and start the TTL anew. Raises UnknownCheckError."""
        owner = self._owner.get(check_id)
        if owner is None or owner.checks[check_id].check.type != "ttl":
            raise UnknownCheckError(check_id)
        timed = owner.checks[check_id]
        timed.beat(self._cut(output), now)
        self._show(timed, status, timed.last_output, now)

    def maintain(self, service_id: str, notes: str | None) -> None:
        """Put a service into maintenance, for the reason in `notes`, or take it out (None).

        Raises NotRegisteredError.
        """
        record = self._records.get(service_id)
        if record is None:
            raise NotRegisteredError(service_id)
        check_id = f"{SERVICE_CHECK}{service_id}"
        if (check_id in record.checks) == (notes is not None):
            return
        index = self._indexes.rise()
        self._indexes.touch(record.service.name)
        if check_id in self._owner:  # of this service, or of another one that has called a check so
            del self._owner[check_id].checks[check_id]
            self._disown([check_id])
        if notes is not None:
            check = _maintenance(
                check_id, "Service Maintenance Mode", self._cut(notes), index, record.service
            )
            record.checks[check_id] = TimedCheck.of_maintenance(check)
            self._owner[check_id] = record

    def maintain_node(self, notes: str | None) -> None:
        """Put the node, and with it all services, into maintenance, or take it out (None)."""
        if (NODE_CHECK in self._of_node) == (notes is not None):
            return
        index = self._indexes.rise()
        for name in self._by_name:
            self._indexes.touch(name)
        if notes is None:
            del self._of_node[NODE_CHECK]
        else:
            self._of_node[NODE_CHECK] = _maintenance(
                NODE_CHECK, "Node Maintenance Mode", self._cut(notes), index
            )

    def probed(self, check_id: str, status: Status, output: str, now: float) -> None:
        """Take what a probe found. For a check that is gone it comes too late, and changes nothing."""
        if check_id in self._probes:
            self._show(self._owner[check_id].checks[check_id], status, self._cut(output), now)

    def expire(self, now: float) -> float:
        """Turn checks critical and remove services whose time has come; returns when to call this again.

        Infinity means: not until something is registered or updated (see `due`).
        """
        dead, due = [], math.inf
        for record in self._records.values():
            for timed in record.checks.values():
                if timed.expires_at <= now:
                    timed.expires_at = math.inf
                    self._show(timed, "critical", timed.expired_output(), now)
            first = min((timed.due for timed in record.checks.values()), default=math.inf)
            if first <= now:
                dead.append(record.service.id)
            else:
                due = min(due, first)
        for service_id in dead:
            self.deregister(service_id)
        self._due = due
        return due

    def _store(self, service: Service, checks: dict[str, TimedCheck], old: _Record | None) -> None:
        index = self.index + 1
        same_service = old is not None and old.service == service
        same_checks = old is not None and old.checks.keys() == checks.keys()
        if not same_service or not same_checks or any(t.check.modify_index == index for t in checks.values()):
            self._indexes.rise()
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

    def _show(self, timed: TimedCheck, status: Status, output: str, now: float) -> None:
        index = timed.check.modify_index
        if status != timed.check.status:
            index = self._indexes.rise()
            self._indexes.touch(timed.check.service_name)
        timed.show(status, output, now=now, index=index)
        self._due = min(self._due, timed.due)

    def _cut(self, output: str) -> str:
        raw, most = output.encode(), self._limits.output_bytes
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
