"""The worker table: the proxy's one mutable view of the workers.

It holds the current pool, the attempts in flight and the load reports, and picks workers. News of requests,
health checks and the registry come in through its methods; decisions are in pool.py and policies.py.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import structlog

from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import ServiceList
from tfleet.proxy.balancing.member import PoolMember, Probe, WorkerState
from tfleet.proxy.balancing.outlier_detection import (
    MAX_ERRORS_IN_A_ROW,
    MAX_FAILED_BODIES,
    ErrorCount,
    FailureCount,
)
from tfleet.proxy.balancing.picking import Picking
from tfleet.proxy.balancing.pool import Pool
from tfleet.proxy.balancing.queue_report import QueueReport, parse_report
from tfleet.proxy.balancing.recent_versions import RecentVersions
from tfleet.proxy.balancing.slow_start import SlowStart
from tfleet.proxy.balancing.version_tries import VersionTries
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.settings import SLOW_START_S, Balance

_GATEWAY_TIMEOUT: Final = 504
_REJECTED: Final = frozenset({429, 503})
_SUSPECT_AFTER_S: Final = 1.0
_SILENT_AFTER_S: Final = 0.5
_MAX_LOG_LINES: Final = 100
_EJECTED: Final = "worker ejected"
_EVENTS: Final = {
    WorkerState.STARTING: "worker starting",
    WorkerState.READY: "worker ready",
    WorkerState.DRAINING: "worker draining",
    WorkerState.EJECTED: _EJECTED,
}
_ABSENT: Final = "the healthy registry has not listed it for a minute"


class InFlight(Protocol):
    """An attempt in flight."""

    worker_since_s: float | None
    """Since when it has waited for the worker, on the monotonic clock; None while it waits for the client."""

    def time_out_soon(self) -> None:
        """Fail soon as timed out. Nothing is reported about it before this call has returned."""


class WorkerTable:
    """Replaces immutable pools as news comes in. It belongs to one event loop."""

    def __init__(
        self,
        balance: Balance = "round-robin",
        *,
        slow_start_s: float = SLOW_START_S,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self.pool = Pool(slow_start=SlowStart(slow_start_s))
        self.pool_changed = asyncio.Event()
        """Set at every change of the pool; the task that waits for it clears it."""
        self.first_ready = asyncio.Event()
        """Set as soon as there was a routable worker."""
        self.tries = VersionTries(RecentVersions(clock), lambda: self.pool.by_version().keys())
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._in_flight: dict[str, set[InFlight]] = {}
        self._last_response_s: dict[str, float] = {}
        self._probe_requested_s: dict[str, float] = {}
        self._ejected_for_bodies_s: dict[str, float] = {}
        self._queue_reports: dict[str, QueueReport] = {}
        self._errors = ErrorCount()
        self._failed_bodies = FailureCount()
        self._picking = Picking(balance, self.load, self._rng, self._clock)
        self._log: Any = structlog.get_logger()

    def __repr__(self) -> str:
        return f"<WorkerTable {self.pool!r} in_flight={sum(map(len, self._in_flight.values()))}>"

    # Which worker.

    def pick(self, tried: Collection[str] = ()) -> PoolMember | None:
        """The worker for the next request, none of those already `tried`; None if none is left."""
        return self._picking.pick(self.pool, tried) or self._picking.last_resort(self.pool, tried)

    def pick_of(self, version: ModelVersion, tried: Collection[str], *, late: bool) -> PoolMember | None:
        """The same of the workers of one version: one that is routable or, with `late`, one that is late."""
        view = self.pool.by_version().get(version)
        if view is None:
            return None
        if late:
            return self._picking.last_resort(view, tried)
        return self._picking.pick(view, tried, version)

    def lease(self, n: int, tried: Collection[str] = ()) -> tuple[PoolMember, ...]:
        """Up to `n` workers for one client, none of those already `tried`; empty if none is left."""
        return self._picking.lease(self.pool, n, tried)

    def lease_of(self, version: ModelVersion, n: int, tried: Collection[str]) -> tuple[PoolMember, ...]:
        """The same of the workers of one version."""
        view = self.pool.by_version().get(version)
        return () if view is None else self._picking.lease(view, n, tried, version)

    def has_other(self, tried: Collection[str]) -> bool:
        """Whether any worker is left that was not tried."""
        return _has_other(self.pool, tried)

    def has_other_of(self, version: ModelVersion, tried: Collection[str]) -> bool:
        """Whether any worker of this version is left that was not tried."""
        view = self.pool.by_version().get(version)
        return view is not None and _has_other(view, tried)

    def in_flight(self, worker_id: str) -> int:
        """How many requests this proxy has open with the worker."""
        return len(self._in_flight.get(worker_id, ()))

    def load(self, worker_id: str, now_s: float) -> int:
        """The worker's load in requests, as far as the proxy knows."""
        in_flight = self.in_flight(worker_id)
        report = self._queue_reports.get(worker_id)
        return in_flight if report is None else report.load(in_flight, now_s)

    def weight(self, member: PoolMember) -> float:
        """The worker's weight: 1, less in its slow start, 0 while it gets no requests."""
        if member.state is not WorkerState.READY:
            return 0.0
        return self.pool.slow_start.weight(member.warm_at_s, self._clock())

    # News of attempts.

    def attempt_started(self, worker_id: str, attempt: InFlight) -> None:
        """Count an attempt as in flight, and keep it to end it if the worker is lost."""
        self._in_flight.setdefault(worker_id, set()).add(attempt)

    def attempt_ended(self, worker_id: str, attempt: InFlight) -> None:
        """The attempt is over."""
        attempts = self._in_flight.get(worker_id)
        if attempts is not None:
            attempts.discard(attempt)
            if not attempts:
                del self._in_flight[worker_id]

    def attempt_abandoned(self, worker_id: str, attempt: InFlight) -> None:
        """The client's deadline passed, or the client left, while the attempt was in flight."""
        # Without a response the attempt proves nothing about the worker. But one that has been silent for
        # a while may be stuck, and with an impatient client no time-out of ours would ever find out.
        if attempt.worker_since_s is not None and self._is_silent(worker_id, _SILENT_AFTER_S):
            self.request_probes((worker_id,))

    def record_failure(self, member: PoolMember, error: str, *, late: bool = False) -> None:
        """A request did not reach the worker, or got no answer in time (`late`)."""
        if not late:
            self.tries.unreachable(member.id, self.pool.members)
        pool = self.pool.after_failure(member.id, error, self._clock(), self._rng, late=late)
        self._replace_pool(pool, {member.id: error})

    def record_stall(self, member: PoolMember, body: Hashable, error: str) -> None:
        """The worker made no progress with a request, or closed the connection without a response.

        The request's `body` may be the cause, so a probe decides about the worker. A worker that does so with
        several different bodies in a row is ejected even if its probes succeed.
        """
        current = self.pool.members.get(member.id)
        # Requests that were sent before the worker was ejected or dropped must not count against it again.
        if current is None or current.state is not WorkerState.READY:
            return
        if self._failed_bodies.add(member.id, body):
            self._ejected_for_bodies_s[member.id] = self._clock()
            self.record_failure(
                member, f"{error}, for {MAX_FAILED_BODIES} different bodies in a row", late=True
            )
        else:
            self.request_probes((member.id,))

    def record_response(self, member: PoolMember, status: int) -> None:
        """The worker answered: consecutive errors eject it although it can be reached."""
        self.tries.answered(member.instance, status)
        if member.id not in self.pool.members:
            return  # it was dropped in the meantime; counting would keep its id forever
        self._last_response_s[member.id] = self._clock()
        if status == _GATEWAY_TIMEOUT:
            return  # the client's deadline has passed, which may happen with any worker
        if status not in _REJECTED:
            # A worker rejects requests without looking at their bodies: that clears it of nothing.
            self._failed_bodies.reset(member.id)
        if self._errors.add(member.id, status):
            error = f"answered {MAX_ERRORS_IN_A_ROW} times in a row with an error, the last was {status}"
            self._eject_for_errors(member, error)

    def record_ticket_refusal(self, member: PoolMember, error: str) -> None:
        """The worker rejects the proxy's ticket: it would reject the next one, too."""
        self._eject_for_errors(member, error)

    def record_not_ready(self, member: PoolMember, error: str) -> None:
        """The worker rejected a request because it is not ready."""
        found = {member.id: (Probe.NOT_READY, error)}
        self._replace_pool(self.pool.after_probes(found, self._clock(), self._rng), {member.id: error})

    def record_queue_length(self, member: PoolMember, queue_length: str | None) -> None:
        """Take the X-Queue-Length of a response; an invalid value is ignored."""
        report = parse_report(queue_length, self._clock())
        # A worker that was dropped since must not be remembered.
        if report is not None and member.id in self.pool.members:
            self._queue_reports[member.id] = report

    # News of the registry.

    def apply_instances(self, listed: Iterable[Instance]) -> None:
        """Take a complete list of workers, from a static list or another process."""
        self.apply_service_list(ServiceList(tuple(listed)))

    def apply_service_list(self, listed: ServiceList) -> None:
        """Take the registry's answer: passing workers, and those in maintenance or with failing checks."""
        pool = self.pool.after_listing(
            listed.passing,
            self._clock(),
            maintained=listed.maintained,
            failing_checks=frozenset(listed.failing_checks),
        )
        news = {worker_id: "" for worker_id in pool.members if worker_id not in self.pool.members}
        self._replace_pool(pool, news | {one.instance.id: one.reason for one in listed.maintained})

    def apply_registry_check(self, healthy: bool) -> None:
        """A query to the registry ended; `healthy` is whether the registry works as it should."""
        pool = self.pool.after_registry_check(self._clock(), healthy=healthy)
        if pool is not self.pool:
            gone = self.pool.members.keys() - pool.members.keys()
            self._replace_pool(pool, dict.fromkeys(gone, _ABSENT))

    # Health checks.

    def suspects(self) -> tuple[PoolMember, ...]:
        """The workers to probe out of turn: those with requested probes, and those that are silent.

        A worker is silent if an attempt has waited for it for a while and no other response came since.
        It may have a long queue or a large image; its process may also be stopped, or its machine gone.
        """
        late_s = self._clock() - _SUSPECT_AFTER_S
        requested = (self.pool.members[i] for i in self._probe_requested_s if i in self.pool.members)
        return tuple(requested) + tuple(
            member
            for worker_id, attempts in self._in_flight.items()
            if (member := self.pool.members.get(worker_id)) is not None
            and self._is_silent(worker_id, _SUSPECT_AFTER_S)
            and any((since_s := one.worker_since_s) is not None and since_s < late_s for one in attempts)
        )

    def request_probes(self, worker_ids: Collection[str]) -> None:
        """Have these workers probed soon: a client reports that they failed, or an attempt was abandoned.

        Only the probe changes the pool: a client may be wrong, or lie.
        """
        members, now_s = self.pool.members, self._clock()
        requested = {**self._probe_requested_s, **dict.fromkeys(worker_ids, now_s)}
        # Ids come from clients: without this check anybody could fill the memory with them.
        self._probe_requested_s = {
            i: since_s
            for i, since_s in requested.items()
            if i in members and members[i].state is WorkerState.READY
        }
        if not self._probe_requested_s.keys().isdisjoint(worker_ids):
            self.pool_changed.set()  # wakes the prober

    def probes_due(self) -> tuple[PoolMember, ...]:
        """The workers to probe now, by the pool's schedule."""
        return self.pool.probes_due(self._clock())

    def next_probe_in_s(self) -> float | None:
        """Seconds until a probe is due, 0 or more; None if none is needed."""
        at_s = self.pool.next_probe_at_s()
        return None if at_s is None else max(0.0, at_s - self._clock())

    def record_probes(self, found: Mapping[str, tuple[Probe, str]], started_s: float = math.inf) -> None:
        """Take the results of probes that started at `started_s`: result and error text by worker id."""
        # A probe that started before a worker was suspected may have succeeded before the failure.
        found = {
            worker_id: (probe, error)
            for worker_id, (probe, error) in found.items()
            if probe is not Probe.READY or self._suspected_at_s(worker_id) <= started_s
        }
        for worker_id, (probe, _) in found.items():
            self._probe_requested_s.pop(worker_id, None)
            self._ejected_for_bodies_s.pop(worker_id, None)
            if probe in {Probe.UNREACHABLE, Probe.LATE}:
                # Attempts would otherwise wait for their own time-outs before they try another worker.
                for attempt in self._in_flight.get(worker_id, ()):
                    attempt.time_out_soon()
                if probe is Probe.UNREACHABLE:
                    self.tries.unreachable(worker_id, self.pool.members)
            elif worker_id in self.pool.members:
                self._last_response_s[worker_id] = self._clock()
        errors = {worker_id: error for worker_id, (_, error) in found.items()}
        self._replace_pool(self.pool.after_probes(found, self._clock(), self._rng), errors)

    def is_draining(self, worker_id: str) -> bool:
        """Whether the worker said that it is about to stop."""
        member = self.pool.members.get(worker_id)
        return member is not None and member.state is WorkerState.DRAINING

    def is_ready(self, worker_id: str) -> bool:
        """Whether the worker gets requests."""
        member = self.pool.members.get(worker_id)
        return member is not None and member.state is WorkerState.READY

    def now_s(self) -> float:
        """The time on the clock of all times here."""
        return self._clock()

    def _is_silent(self, worker_id: str, seconds: float) -> bool:
        """Whether no response came from the worker for so long."""
        return self._last_response_s.get(worker_id, -math.inf) < self._clock() - seconds

    def _suspected_at_s(self, worker_id: str) -> float:
        """When a probe was last requested, or the worker last ejected for bodies, without a probe since."""
        never = -math.inf
        return max(
            self._probe_requested_s.get(worker_id, never), self._ejected_for_bodies_s.get(worker_id, never)
        )

    def _eject_for_errors(self, member: PoolMember, error: str) -> None:
        pool = self.pool.after_errors(member.id, error, self._clock(), self._rng)
        self._replace_pool(pool, {member.id: error})

    def _replace_pool(self, pool: Pool, news: Mapping[str, str]) -> None:
        """Make this the current pool. `news` has the error text of each worker that it is about."""
        before, self.pool = self.pool, pool
        changed = []
        # Workers ejected for errors may have come back without news of their own: see Pool._with.
        for worker_id in {**news, **dict.fromkeys(before.ejected_for_errors)}:
            old, new = before.members.get(worker_id), pool.members.get(worker_id)
            if old is not None and new is None:
                self._forget(worker_id)
                self.tries.left.add(ModelVersion(old.instance.model, old.instance.version))
                changed.append((old, "worker dropped", news.get(worker_id)))
            elif new is not None and (old is None or old.state is not new.state):
                changed.append((new, _EVENTS[new.state], news.get(worker_id)))
        self._log_changes(changed)
        if len(self._picking) > 1:
            self._picking.forget_all_but(pool.by_version())
        self.pool_changed.set()
        if pool.routable:
            self.first_ready.set()

    def _forget(self, worker_id: str) -> None:
        self._last_response_s.pop(worker_id, None)
        self._errors.reset(worker_id)
        self._failed_bodies.reset(worker_id)
        self._ejected_for_bodies_s.pop(worker_id, None)
        self._queue_reports.pop(worker_id, None)

    def _log_changes(self, changed: Sequence[tuple[PoolMember, str, str | None]]) -> None:
        """Log a line for each changed worker; for very many only a line for each event, with their number."""
        if len(changed) > _MAX_LOG_LINES:
            for event, workers in Counter(event for _, event, _ in changed).items():
                self._log_level(event)("many workers changed", change=event, workers=workers)
            return
        for member, event, error in changed:
            why = {"error": error} if error else {}
            self._log_level(event)(event, worker=member.id, address=str(member.instance.address), **why)

    def _log_level(self, event: str) -> Callable[..., None]:
        log: Callable[..., None] = self._log.warning if event == _EJECTED else self._log.info
        return log


def _has_other(pool: Pool, tried: Collection[str]) -> bool:
    return pool.has_other(tried) or any(member.id not in tried for member in pool.late)
