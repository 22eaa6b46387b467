"""The pool of workers: which exist, and which of them get requests. Immutable values; no I/O.

The rules:

- The registry proposes, health checks decide. A new worker gets requests after a successful probe of its
  `/readyz`. A worker that the registry no longer lists stays in use until a probe or a request finds it
  unreachable, not ready, or late for about a minute; then it is dropped. So neither an empty answer nor
  wrong entries of the registry change who serves.
- A worker that a healthy registry has not listed for a minute is dropped even if it is reachable: our own
  workers register again within seconds, so somebody removed it on purpose. This does not hold if more than
  half of the confirmed workers would go: then the registry is more likely at fault. A worker listed with
  failing checks is not absent.
- A worker in maintenance gets no requests until the registry says that maintenance is over.
- A listed worker that fails is ejected (see outlier_detection.py): it gets no requests until a probe
  succeeds. Failures of concurrent requests count once.
- At most half of the reachable workers are ejected for answering with errors. If more of them do, the cause
  is probably the requests, and ejecting them all would leave no worker. Unreachable workers have no limit.
- A worker that timed out is ejected, but is a last resort: it gets requests while no other worker is left.
  All workers may be late because the fleet, or the proxy, is overloaded.
- A worker that becomes ready gets its share gradually: see slow_start.py.
- Each change makes a new Pool; existing ones never change.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tfleet.discovery.instance import Instance
from tfleet.discovery.maintenance import Maintained
from tfleet.proxy.balancing.member import (
    PoolMember,
    Probe,
    WorkerState,
    in_maintenance,
    not_ready,
    probed_ready,
    relisted,
    unlisted,
)
from tfleet.proxy.balancing.outlier_detection import ejected, max_ejected_for_errors
from tfleet.proxy.balancing.slow_start import SlowStart
from tfleet.proxy.balancing.versions import ModelVersion

# Looked up once: an enum's attribute costs more than all else in a pass over 10,000 members.
_READY: Final = WorkerState.READY

_DROP_ABSENT_AFTER_S: Final = 59.0
"""A minute, less the second by which two blocking queries of half a minute may fall short of it."""
_MAX_LATE: Final = 6
"""How often an unlisted worker may be late before it is dropped: about a minute of probes. An overloaded
worker may be too busy to send its heartbeats, too."""


@dataclass(frozen=True, slots=True)
class Pool:
    """All workers by id, in the order in which they came.

    `routable` workers get requests. `late` ones are the last resort. Those `in_doubt` are to be probed.
    `ejected_for_errors` are the ids of workers that are ejected although they can be reached.
    """

    members: Mapping[str, PoolMember] = field(default_factory=dict)
    routable: tuple[PoolMember, ...] = ()
    late: tuple[PoolMember, ...] = ()
    in_doubt: tuple[PoolMember, ...] = ()
    ejected_for_errors: tuple[str, ...] = ()
    slow_start: SlowStart = field(default_factory=SlowStart)
    _versions: dict[ModelVersion, Pool] = field(init=False, default_factory=dict, compare=False, repr=False)

    def __repr__(self) -> str:
        return f"<Pool routable={len(self.routable)} of {len(self.members)}>"

    def has_other(self, tried: Collection[str]) -> bool:
        """Whether a routable worker is left that was not tried. The cost depends on `tried` only."""
        if len(self.routable) > len(tried):
            return True
        known = (self.members.get(worker_id) for worker_id in set(tried))
        return len(self.routable) > sum(one is not None and one.state is WorkerState.READY for one in known)

    def by_version(self) -> Mapping[ModelVersion, Pool]:
        """The workers of each version of each model, as pools to pick from. Made once for each pool."""
        if not self._versions and self.members:
            self._versions.update(_by_version(self))
        return self._versions

    def after_listing(
        self,
        listed: Iterable[Instance],
        now_s: float,
        *,
        maintained: Iterable[Maintained] = (),
        failing_checks: Collection[str] = (),
    ) -> Pool:
        """The pool after the registry's answer. New and no longer listed workers will be probed.

        `listed` are passing; `failing_checks` are the ids of those that are listed with failing checks.
        """
        # Maintenance goes before a passing check: an operator asked for it.
        by_maintenance = {one.instance.id: one for one in maintained}
        passing = {instance.id: instance for instance in listed if instance.id not in by_maintenance}
        members = {}
        for member in self.members.values():
            if (instance := passing.pop(member.id, None)) is not None:
                members[member.id] = relisted(member, instance, now_s)
            elif (one := by_maintenance.pop(member.id, None)) is not None:
                members[member.id] = in_maintenance(member, one)
            else:
                # Not removed: the registry may have lost its state while the worker serves on.
                members[member.id] = unlisted(member, now_s, absent=member.id not in failing_checks)
        for instance in passing.values():
            members[instance.id] = PoolMember(instance, state=WorkerState.STARTING, probe_at_s=now_s)
        # New workers in maintenance are kept, too: `GET /workers` shows them, and they serve once it is over.
        for one in by_maintenance.values():
            members[one.instance.id] = in_maintenance(PoolMember(one.instance), one)
        return self._with(members, now_s)

    def after_registry_check(self, now_s: float, *, healthy: bool) -> Pool:
        """The pool after a query to the registry: workers that were absent for a minute are dropped."""
        absent = {m.id: m.entry.absent_since_s for m in self.in_doubt if m.entry.absent_since_s is not None}
        if not absent:
            return self
        if not healthy:
            # What an unhealthy registry leaves out proves nothing, so every absence starts anew.
            restarted = {i: self._absent_since(i, now_s) for i in absent}
            return self._with({**self.members, **restarted}, now_s)
        gone = {i for i, since_s in absent.items() if now_s - since_s >= _DROP_ABSENT_AFTER_S}
        confirmed = {member.id for member in self.members.values() if member.confirmed}
        # More than half at once looks like a registry that lost its state, not like scaling down.
        if 2 * len(gone & confirmed) > len(confirmed):
            gone -= confirmed
        if not gone:
            return self
        return self._with({i: member for i, member in self.members.items() if i not in gone}, now_s)

    def after_failure(
        self, worker_id: str, error: str, now_s: float, rng: random.Random, *, late: bool = False
    ) -> Pool:
        """The pool after a request did not reach the worker, or got no answer in time (`late`)."""
        member = self.members.get(worker_id)
        if member is not None and member.entry.listed and member.state is WorkerState.EJECTED:
            if member.ejection.late and not late:
                # Unreachable is worse than late: the worker is no longer a last resort.
                unreachable = replace(member, ejection=replace(member.ejection, late=False))
                return self._with({**self.members, worker_id: unreachable}, now_s)
            return self  # this request was in flight when another one's failure ejected the worker
        # A failed request says as much of a worker as a failed probe.
        return self.after_probes({worker_id: (Probe.LATE if late else Probe.UNREACHABLE, error)}, now_s, rng)

    def after_errors(self, worker_id: str, error: str, now_s: float, rng: random.Random) -> Pool:
        """The pool after a reachable worker answered with errors several times in a row.

        The worker is ejected but never dropped, even if it is not listed: a probe brings it back.
        """
        member = self.members.get(worker_id)
        if member is None or member.state is not WorkerState.READY:
            return self
        # It goes on serving rather than leave too few workers: the requests may be the cause.
        out = len(self.ejected_for_errors)
        if out + 1 > max_ejected_for_errors(out, len(self.routable)):
            return self
        out_now = ejected(member, error, now_s, rng)
        out_now = replace(out_now, ejection=replace(out_now.ejection, for_errors=True))
        return self._with({**self.members, worker_id: out_now}, now_s)

    def after_probes(self, found: Mapping[str, tuple[Probe, str]], now_s: float, rng: random.Random) -> Pool:
        """The pool after probes. `found` has each probe's result and error text, by worker id."""
        members = dict(self.members)  # keeps the order, whichever workers were probed
        for worker_id, (probe, error) in found.items():
            member = members.get(worker_id)
            if member is None:  # dropped while the probe was in flight
                continue
            # A worker that never served is no last resort: nothing shows that it can serve at all.
            late = probe is Probe.LATE and (member.ejection.late or member.state is WorkerState.READY)
            if probe is Probe.READY:
                members[worker_id] = probed_ready(member, self.slow_start, now_s)
            elif not member.entry.listed and not (late and member.ejection.failures < _MAX_LATE):
                # Neither the registry nor the worker itself vouches for it any more.
                del members[worker_id]
            elif member.entry.maintenance:
                continue  # it gets no requests anyway, and only the registry ends maintenance
            elif probe is Probe.NOT_READY:
                members[worker_id] = not_ready(member, error, now_s)
            else:
                out = ejected(member, error, now_s, rng)
                members[worker_id] = replace(out, ejection=replace(out.ejection, late=late))
        return self._with(members, now_s)

    def probes_due(self, now_s: float) -> tuple[PoolMember, ...]:
        """The workers to probe now, the longest overdue first."""
        due = (member for member in self.in_doubt if member.probe_at_s <= now_s)
        return tuple(sorted(due, key=lambda member: member.probe_at_s))

    def next_probe_at_s(self) -> float | None:
        """When the next probe is due, on the caller's clock; None if none is needed."""
        return min((member.probe_at_s for member in self.in_doubt), default=None)

    def _absent_since(self, worker_id: str, now_s: float) -> PoolMember:
        member = self.members[worker_id]
        return replace(member, entry=replace(member.entry, absent_since_s=now_s))

    def _with(self, members: dict[str, PoolMember], now_s: float) -> Pool:
        """The pool with these members, as the successor of this one."""
        routable = tuple([member for member in members.values() if member.state is _READY])
        in_doubt = tuple([member for member in members.values() if member.needs_probes])
        out = sorted((m for m in in_doubt if m.ejection.for_errors), key=lambda member: member.probe_at_s)
        # Other workers may have left, so that too large a share is now ejected for errors. Those whose probe
        # is due first have been out for longest: they come back.
        if back := out[: len(out) - max_ejected_for_errors(len(out), len(routable))]:
            ready = {member.id: probed_ready(member, self.slow_start, now_s) for member in back}
            return self._with(members | ready, now_s)
        cold = [member.warm_at_s for member in routable if member.warm_at_s > now_s]
        slow_start = self.slow_start.after(len(routable), cold, now_s)
        return Pool(
            members=members,
            routable=routable,
            late=tuple([member for member in in_doubt if member.ejection.late]),
            in_doubt=in_doubt,
            ejected_for_errors=tuple(member.id for member in out),
            slow_start=slow_start,
        )


def _by_version(pool: Pool) -> dict[ModelVersion, Pool]:
    members: dict[ModelVersion, dict[str, PoolMember]] = {}
    for member in pool.members.values():
        key = ModelVersion(member.instance.model, member.instance.version)
        members.setdefault(key, {})[member.id] = member
    if len(members) == 1:  # the usual fleet: nothing to copy
        return dict.fromkeys(members, pool)
    return {key: _view(pool, some) for key, some in members.items()}


def _view(pool: Pool, members: Mapping[str, PoolMember]) -> Pool:
    routable = tuple([member for member in members.values() if member.state is _READY])
    warm_at_s = [member.warm_at_s for member in routable]
    # Slow start compares the workers of this version only: the others get none of its requests.
    slow_start = pool.slow_start
    if warm_at_s:
        slow_start = replace(slow_start, first_s=min(warm_at_s), last_s=max(warm_at_s))
    late = tuple(member for member in pool.late if member.id in members)
    return Pool(members, routable, late, slow_start=slow_start)
