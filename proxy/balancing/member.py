"""One worker as the proxy sees it: an immutable value, and its transitions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from tfleet.contract.names import WORKER
from tfleet.discovery.instance import Instance
from tfleet.discovery.maintenance import Maintained
from tfleet.proxy.balancing.slow_start import SlowStart

PROBE_INTERVAL_S: Final = 1.0


class WorkerState(StrEnum):
    """A worker's state, in the words of `GET /workers`."""

    STARTING = "starting"
    READY = "ready"
    EJECTED = "ejected"
    DRAINING = "draining"


# Looked up once: an enum's attribute costs more than all else in a pass over 10,000 members.
_READY: Final = WorkerState.READY


class Probe(StrEnum):
    """The result of a health check, a request to `/readyz`."""

    READY = "ready"
    NOT_READY = "not ready"
    UNREACHABLE = "unreachable"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """What the registry says of a worker.

    `maintenance` is the reason of its maintenance mode, empty if it is in none. `absent_since_s` is since
    when the healthy registry has not listed it at all, on the caller's monotonic clock.
    """

    listed: bool = True
    maintenance: str = ""
    absent_since_s: float | None = None


@dataclass(frozen=True, slots=True)
class Ejection:
    """Why and how often a worker was ejected.

    `failures` counts ejections without a minute of good health in between. `for_errors` is that the worker
    can be reached but answers with errors. `late` is that it timed out: then it remains a last resort.
    """

    failures: int = 0
    for_errors: bool = False
    late: bool = False


_LISTED: Final = RegistryEntry()
_NEVER_EJECTED: Final = Ejection()


@dataclass(frozen=True, slots=True)
class PoolMember:
    """One worker in the pool. Its times are on the caller's monotonic clock.

    Its slow start is over at `warm_at_s`. `addressee` are the first header lines of each request to it.
    """

    instance: Instance
    state: WorkerState = WorkerState.READY
    entry: RegistryEntry = _LISTED
    ejection: Ejection = _NEVER_EJECTED
    last_error: str = ""
    probe_at_s: float = 0.0
    ready_at_s: float = -math.inf
    warm_at_s: float = 0.0
    addressee: bytes = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Once for each worker and not for each request: this is on the hot path.
        object.__setattr__(self, "addressee", addressee(self.instance))

    @property
    def id(self) -> str:
        return self.instance.id

    @property
    def confirmed(self) -> bool:
        """Whether the worker is known to exist: it was ready once, or an operator put it into maintenance."""
        return self.ready_at_s > -math.inf or bool(self.entry.maintenance)

    @property
    def needs_probes(self) -> bool:
        """Whether it has to be probed. Nothing depends on the health of a listed worker in maintenance."""
        if not self.entry.listed:
            return True
        return self.state is not _READY and not self.entry.maintenance

    def answers_as(self, name: str | None) -> bool:
        """Whether a response with this X-Worker is the worker's own: another one may have its
        address by now.
        """
        return answers_as(self.instance, name)


def answers_as(instance: Instance, name: str | None) -> bool:
    """Whether a response with this X-Worker is from this worker.

    In a static list a worker's id is its address, so any name is accepted.
    """
    return name in {None, instance.id} or instance.id == str(instance.address)


def addressee(instance: Instance) -> bytes:
    """The header lines Host and X-Worker of requests to a worker, without the final line end.

    A worker that is not this one rejects the request (421) before it reads the image.
    """
    host, name = f"Host: {instance.address}", instance.id
    # In a static list the id is the address, which the worker does not know itself by. Any other text that is
    # not plain could be read as more than one header line.
    if name == str(instance.address) or not (name.isascii() and name.isprintable() and name == name.strip()):
        return host.encode()
    return f"{host}\r\n{WORKER}: {name}".encode()


def probed_ready(member: PoolMember, slow_start: SlowStart, now_s: float) -> PoolMember:
    """The worker after a successful probe."""
    again_s = now_s + PROBE_INTERVAL_S
    if member.entry.maintenance:  # only the registry ends maintenance
        return replace(member, probe_at_s=again_s)
    if member.state is WorkerState.READY:
        return replace(member, last_error="", probe_at_s=again_s)
    return replace(
        member,
        state=WorkerState.READY,
        last_error="",
        # The count stays: it falls back to 1 only after a minute of good health, so that a worker that
        # fails again and again is probed ever more rarely.
        ejection=Ejection(member.ejection.failures),
        probe_at_s=again_s,
        ready_at_s=now_s,
        warm_at_s=slow_start.warm_at_s(now_s),
    )


def not_ready(member: PoolMember, error: str, now_s: float) -> PoolMember:
    """The worker after it said that it is not ready: it is starting, or else about to stop."""
    return replace(
        member,
        state=WorkerState.STARTING if member.state is WorkerState.STARTING else WorkerState.DRAINING,
        last_error=error,
        ejection=Ejection(member.ejection.failures),
        probe_at_s=now_s + PROBE_INTERVAL_S,
    )


def relisted(member: PoolMember, instance: Instance, now_s: float) -> PoolMember:
    """The worker when the registry lists it as passing."""
    if member.entry.maintenance:
        member = _after_maintenance(member, now_s)
    if member.instance == instance and member.entry == _LISTED:
        return member
    return replace(member, instance=instance, entry=_LISTED)


def unlisted(member: PoolMember, now_s: float, *, absent: bool) -> PoolMember:
    """The worker when the registry does not list it as passing; `absent` if it does not list it at all."""
    # Maintenance ends where the registry lists the worker without it. From absence it does not follow.
    if member.entry.maintenance and not absent:
        member = _after_maintenance(member, now_s)
    entry = member.entry
    since_s = None
    if absent:
        since_s = now_s if entry.absent_since_s is None else entry.absent_since_s
    # Nothing changed: the same object lets callers see that.
    if not entry.listed and since_s == entry.absent_since_s:
        return member
    return replace(
        member,
        entry=replace(entry, listed=False, absent_since_s=since_s),
        probe_at_s=now_s if entry.listed else member.probe_at_s,
    )


def in_maintenance(member: PoolMember, maintained: Maintained) -> PoolMember:
    """The worker when the registry lists it as in maintenance: it drains, whatever its health."""
    return replace(
        member,
        instance=maintained.instance,
        state=WorkerState.DRAINING,
        entry=RegistryEntry(maintenance=maintained.reason),
        ejection=Ejection(member.ejection.failures),
        last_error=maintained.reason,
    )


def _after_maintenance(member: PoolMember, now_s: float) -> PoolMember:
    """The worker serves again as soon as a probe finds it ready."""
    entry = replace(member.entry, maintenance="")
    return replace(member, last_error="", entry=entry, probe_at_s=now_s)
