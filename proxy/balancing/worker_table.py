"""What a worker says of its queue, in X-Queue-Length of each answer.

A worker may have more to do than this proxy knows of: other proxies and p2p clients send it requests, too.
A report is the worker's word for a moment. It is forgotten soon: a worker that was busy once, and is asked by
nobody for that reason, would else be taken for busy for ever.

The proxy's one mutable view of the workers: the current pool, what is in flight, whose turn it is.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from tfleet.contract.names import whole_number
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import ServiceList
from tfleet.proxy.balancing.outlier_detection import MOST, FailureCount
from tfleet.proxy.balancing.policies import Balance, LeaseRotation, LeastRequest, Picker, RoundRobin
from tfleet.proxy.balancing.pool import Pool, PoolMember, Probe, WorkerState
from tfleet.proxy.balancing.slow_start import WINDOW_S, SlowStart

_FORGOTTEN_AFTER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class QueueReport:
    """So many requests waited in the worker at that time, on the caller's monotonic clock."""

    length: int
    at_s: float

    def load(self, in_flight: int, now_s: float) -> int:
        """How much the worker has to do, when so many of the proxy's own requests are open with it."""
        if now_s - self.at_s >= _FORGOTTEN_AFTER_S:
            return in_flight
        return max(in_flight, self.length)


def read_report(text: str | None, now_s: float) -> QueueReport | None:
    """The report in the header; None where there is none, or one that is not a plain number."""
    length = None if text is None else whole_number(text)
    return None if length is None else QueueReport(length, now_s)


_FAILING_FROM = 500
_FAILING_TIMES = 5
_OVERDUE = 504
_SENT_AWAY = frozenset({429, 503})
_SUSPECT_AFTER_S = 1.0
_SILENT_AFTER_S = 0.5
_LINES_AT_ONCE = 100
_ABSENT = "the registry has not listed it for a minute, though it is in order"


class InFlight(Protocol):
    """A try under way."""

    worker_since_s: float | None
    """Since when it has been the worker's turn, on the monotonic clock; None while it is the client's."""

    def give_up(self) -> None:
        """Wait no longer. Nothing is told of it before this call has returned."""


class WorkerTable:
    """Swaps immutable pools as news comes in. It belongs to one event loop."""

    def __init__(
        self,
        balance: Balance = "round-robin",
        *,
        slow_start_s: float = WINDOW_S,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self.pool = Pool(slow_start=SlowStart(slow_start_s))
        self.pool_changed = asyncio.Event()
        """Set at every change of the pool; whoever waits for it clears it."""
        self.first_ready = asyncio.Event()
        """Set as soon as there has been a worker to send to."""
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._tries: dict[str, set[InFlight]] = {}
        self._heard_s: dict[str, float] = {}
        self._doubted: dict[str, float] = {}
        """Since when."""
        self._struck_out_s: dict[str, float] = {}
        self._reports: dict[str, QueueReport] = {}
        self._failing: Counter[str] = Counter()
        self._strikes = FailureCount()
        self._picker: Picker = (
            RoundRobin(self._rng) if balance == "round-robin" else LeastRequest(self.load, self._rng)
        )
        self._leasing = LeaseRotation()
        self._log: Any = structlog.get_logger()

    def __repr__(self) -> str:
        return f"<WorkerTable {self.pool!r} in_flight={sum(map(len, self._tries.values()))}>"

    def pick(self, tried: Collection[str] = ()) -> PoolMember | None:
        """The worker for the next request, none of those already `tried`; None where nobody is left."""
        if self.pool.has_other(tried):
            return self._picker(self.pool, tried, self._clock())
        return self._last_resort(tried)

    def lease(self, n: int, tried: Collection[str] = ()) -> tuple[PoolMember, ...]:
        """Up to `n` workers for one client, none of those already `tried`; nobody where nobody is left."""
        workers = self.pool.routable if self.pool.has_other(tried) else self.pool.late
        return self._leasing(workers, n, tried)

    def has_other(self, tried: Collection[str]) -> bool:
        """Whether anybody is left who was not tried."""
        return self.pool.has_other(tried) or self._last_resort(tried) is not None

    def in_flight(self, worker_id: str) -> int:
        """How many requests this proxy has open with the worker."""
        return len(self._tries.get(worker_id, ()))

    def load(self, worker_id: str, now_s: float) -> int:
        """How many requests the worker has to do, as far as the proxy knows."""
        in_flight = self.in_flight(worker_id)
        report = self._reports.get(worker_id)
        return in_flight if report is None else report.load(in_flight, now_s)

    def weight(self, member: PoolMember) -> float:
        """How much of a turn it has: 1, less in its slow start, 0 while it gets no requests."""
        if member.state is not WorkerState.READY:
            return 0.0
        return self.pool.slow_start.turn(member.warm_at_s, self._clock())

    def began(self, worker_id: str, waiting: InFlight) -> None:
        """Count a try as in flight, and keep hold of it in case the worker is lost."""
        self._tries.setdefault(worker_id, set()).add(waiting)

    def ended(self, worker_id: str, waiting: InFlight) -> None:
        """It is over."""
        tries = self._tries.get(worker_id)
        if tries is not None:
            tries.discard(waiting)
            if not tries:
                del self._tries[worker_id]

    def abandoned(self, worker_id: str, waiting: InFlight) -> None:
        """Nobody waits for it any more: the caller's deadline is over, or it has left."""
        if waiting.worker_since_s is not None and self._silent(worker_id, _SILENT_AFTER_S):
            self.doubt((worker_id,))

    def suspects(self) -> tuple[PoolMember, ...]:
        """The workers from whom somebody has been waiting for a while, and nobody has heard in the meantime.

        That may be a long queue or a large picture; it may also be a process that is stopped, or a machine
        that is gone without a word. And those that a client had no luck with. A probe tells.
        """
        late_s = self._clock() - _SUSPECT_AFTER_S
        doubted = (self.pool.members[i] for i in self._doubted if i in self.pool.members)
        return tuple(doubted) + tuple(
            member
            for worker_id, tries in self._tries.items()
            if (member := self.pool.members.get(worker_id)) is not None
            and self._silent(worker_id, _SUSPECT_AFTER_S)
            and any((since_s := one.worker_since_s) is not None and since_s < late_s for one in tries)
        )

    def doubt(self, worker_ids: Collection[str]) -> None:
        """Take the word of a client that these failed it, or were silent: a probe decides, and only that."""
        members, now_s = self.pool.members, self._clock()
        doubted = {**self._doubted, **dict.fromkeys(worker_ids, now_s)}
        self._doubted = {
            i: since_s
            for i, since_s in doubted.items()
            if i in members and members[i].state is WorkerState.READY
        }
        if not self._doubted.keys().isdisjoint(worker_ids):
            self.pool_changed.set()  # the prober is not to sleep over it

    def synced(self, listed: Iterable[Instance]) -> None:
        """Take a list of workers that are well, as far as the one who has it knows."""
        self.called(ServiceList(tuple(listed)))

    def called(self, roll: ServiceList) -> None:
        """Take the registry's answer, with all that it says of those who are listed."""
        pool = self.pool.synced(
            roll.passing, self._clock(), maintained=roll.maintained, ill=frozenset(roll.failing_checks)
        )
        news = {worker_id: "" for worker_id in pool.members if worker_id not in self.pool.members}
        self._swap(pool, news | {one.instance.id: one.reason for one in roll.maintained})

    def heard(self, in_order: bool) -> None:
        """Take the news that the registry has answered as one that is `in_order`, or not."""
        pool = self.pool.heard(self._clock(), in_order=in_order)
        if pool is not self.pool:
            gone = self.pool.members.keys() - pool.members.keys()
            self._swap(pool, dict.fromkeys(gone, _ABSENT))

    def failed(self, member: PoolMember, error: str, *, late: bool = False) -> None:
        """Take the news that a request did not reach the worker, or was not answered in time (`late`)."""
        pool = self.pool.failed(member.id, error, self._clock(), self._rng, late=late)
        self._swap(pool, {member.id: error})

    def stalled(self, member: PoolMember, body: Hashable, error: str) -> None:
        """Take the news that nothing came of a request to the worker, or only its connection's end.

        It may be the request's `body` that does it, so a probe decides about the worker. But where so many
        different bodies fare like that in a row, it is ejected whatever it says of itself.
        """
        now = self.pool.members.get(member.id)
        if now is None or now.state is not WorkerState.READY:
            return
        if self._strikes.struck(member.id, body):
            self._struck_out_s[member.id] = self._clock()
            self.failed(member, f"{error}, for {MOST} different bodies in a row", late=True)
        else:
            self.doubt((member.id,))

    def draining(self, worker_id: str) -> bool:
        """Whether the worker has said that it is about to stop."""
        member = self.pool.members.get(worker_id)
        return member is not None and member.state is WorkerState.DRAINING

    def reported(self, member: PoolMember, queue_length: str | None) -> None:
        """Take what an answer's head says of the worker's queue; what can't be read is not heeded."""
        report = read_report(queue_length, self._clock())
        if report is not None and member.id in self.pool.members:
            self._reports[member.id] = report

    def answered(self, member: PoolMember, status: int) -> None:
        """Take the news of an answer: a worker that fails again and again is of no use, reachable or not.

        That the caller's time was over says nothing of the worker: images that take long come from anybody.
        """
        if member.id not in self.pool.members:
            return  # it was dropped in the meantime, and what is remembered of it as well
        self._heard_s[member.id] = self._clock()
        if status == _OVERDUE:
            return
        if status not in _SENT_AWAY:
            self._strikes.forget(member.id)
        if status < _FAILING_FROM:
            self._failing.pop(member.id, None)
            return
        self._failing[member.id] += 1
        if self._failing[member.id] >= _FAILING_TIMES:
            del self._failing[member.id]
            error = f"answered {_FAILING_TIMES} times in a row with an error, the last was {status}"
            self._swap(self.pool.failing(member.id, error, self._clock(), self._rng), {member.id: error})

    def refused(self, member: PoolMember, error: str) -> None:
        """Take the news that a worker does not let the proxy in: the next request would fare no better."""
        self._swap(self.pool.failing(member.id, error, self._clock(), self._rng), {member.id: error})

    def declined(self, member: PoolMember, error: str) -> None:
        """Take the news that a worker sent a request away because it is not ready."""
        found = {member.id: (Probe.NOT_READY, error)}
        self._swap(self.pool.probed(found, self._clock(), self._rng), {member.id: error})

    def now_s(self) -> float:
        """On the clock of all times here."""
        return self._clock()

    def probed(self, found: Mapping[str, tuple[Probe, str]], asked_s: float = math.inf) -> None:
        """Take what probes found that began then. Nobody need wait any longer for who is unreachable.

        That a worker is ready is old news where it was doubted or struck out since.
        """
        found = {
            worker_id: (probe, error)
            for worker_id, (probe, error) in found.items()
            if probe is not Probe.READY or self._suspected_s(worker_id) <= asked_s
        }
        for worker_id, (probe, _) in found.items():
            self._doubted.pop(worker_id, None)
            self._struck_out_s.pop(worker_id, None)
            if probe in {Probe.UNREACHABLE, Probe.LATE}:
                for waiting in self._tries.get(worker_id, ()):
                    waiting.give_up()
            elif worker_id in self.pool.members:
                self._heard_s[worker_id] = self._clock()
        errors = {worker_id: error for worker_id, (_, error) in found.items()}
        self._swap(self.pool.probed(found, self._clock(), self._rng), errors)

    def probes_due(self) -> tuple[PoolMember, ...]:
        """The workers to probe now."""
        return self.pool.to_probe(self._clock())

    def next_probe_in_s(self) -> float | None:
        """Seconds until a probe is due, 0 or more; None while nobody needs one."""
        at_s = self.pool.next_probe_s()
        return None if at_s is None else max(0.0, at_s - self._clock())

    def _silent(self, worker_id: str, seconds: float) -> bool:
        """Whether nobody has heard from the worker for so long."""
        return self._heard_s.get(worker_id, -math.inf) < self._clock() - seconds

    def _suspected_s(self, worker_id: str) -> float:
        """When it was doubted or struck out last, without a probe since."""
        return max(self._doubted.get(worker_id, -math.inf), self._struck_out_s.get(worker_id, -math.inf))

    def _last_resort(self, tried: Collection[str]) -> PoolMember | None:
        """Any who served and was ejected for being late."""
        late = self.pool.late
        first = int(self._rng.random() * len(late))
        order = (late[(first + step) % len(late)] for step in range(len(late)))
        return next((member for member in order if member.id not in tried), None)

    def _swap(self, pool: Pool, news: Mapping[str, str]) -> None:
        """Go over to this pool, which is the current one after this news: what was wrong, by worker."""
        before, self.pool = self.pool, pool
        changed = []
        for worker_id in {**news, **dict.fromkeys(before.out_for_answers)}:
            old, new = before.members.get(worker_id), pool.members.get(worker_id)
            if old is not None and new is None:
                self._heard_s.pop(worker_id, None)
                self._failing.pop(worker_id, None)
                self._strikes.forget(worker_id)
                self._struck_out_s.pop(worker_id, None)
                self._reports.pop(worker_id, None)
                changed.append((old, "dropped", news.get(worker_id)))
            elif new is not None and (old is None or old.state is not new.state):
                changed.append((new, new.state, news.get(worker_id)))
        self._tell(changed)
        self.pool_changed.set()
        if pool.routable:
            self.first_ready.set()

    def _tell(self, changed: Sequence[tuple[PoolMember, str, str | None]]) -> None:
        """Log what became of whom: a line for each, but when it is thousands at once only how many."""
        if len(changed) > _LINES_AT_ONCE:
            for state, workers in Counter(state for _, state, _ in changed).items():
                self._log.info("workers " + state, workers=workers)
            return
        for member, state, error in changed:
            log = self._log.warning if state == WorkerState.EJECTED else self._log.info
            why = {"error": error} if error else {}
            log("worker " + state, worker=member.id, address=str(member.instance.address), **why)
