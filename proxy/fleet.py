"""The proxy's one mutable view of the workers: the current pool, what is in flight, whose turn it is."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import structlog

from tfleet.discovery.instance import Instance
from tfleet.proxy.patience import Patience
from tfleet.proxy.picker import Balance, LeastRequest, Picker, RoundRobin
from tfleet.proxy.pool import Member, Pool, Probe

_FAILING_FROM = 500
_FAILING_TIMES = 5
_SUSPECT_AFTER_S = 1.0


class Fleet:
    """Swaps immutable pools as news comes in. It belongs to one event loop."""

    def __init__(
        self,
        balance: Balance = "round-robin",
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self.pool = Pool()
        self.pool_changed = asyncio.Event()
        """Set at every change of the pool; whoever waits for it clears it."""
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._tries: dict[str, set[Patience]] = {}
        self._heard_s: dict[str, float] = {}
        self._failing: Counter[str] = Counter()
        self._picker: Picker = (
            RoundRobin() if balance == "round-robin" else LeastRequest(self.in_flight, self._rng)
        )
        self._log: Any = structlog.get_logger()

    def __repr__(self) -> str:
        return f"<Fleet {self.pool!r} in_flight={sum(map(len, self._tries.values()))}>"

    def pick(self, tried: Collection[str] = ()) -> Member | None:
        """The worker for the next request, none of those already `tried`; None where nobody is left."""
        workers = self.pool.routable
        if tried:
            workers = tuple(m for m in workers if m.id not in tried)
        return self._picker(workers) if workers else None

    def has_other(self, tried: Collection[str]) -> bool:
        """Whether anybody is left who was not tried."""
        return any(member.id not in tried for member in self.pool.routable)

    def in_flight(self, worker_id: str) -> int:
        """How many requests this proxy has open with the worker."""
        return len(self._tries.get(worker_id, ()))

    @contextlib.contextmanager
    def using(self, member: Member, patience: Patience) -> Iterator[None]:
        """Count a try as in flight, and keep hold of it in case the worker is lost."""
        tries = self._tries.setdefault(member.id, set())
        tries.add(patience)
        try:
            yield
        finally:
            tries.discard(patience)
            if not tries:
                self._tries.pop(member.id, None)

    def suspects(self) -> tuple[Member, ...]:
        """The workers from whom somebody has been waiting for a while, and nobody has heard in the meantime.

        That may be a long queue or a large picture; it may also be a process that is stopped, or a machine
        that is gone without a word. A probe tells.
        """
        late_s = self._clock() - _SUSPECT_AFTER_S
        return tuple(
            member
            for worker_id, tries in self._tries.items()
            if (member := self.pool.members.get(worker_id)) is not None
            and self._heard_s.get(worker_id, -math.inf) < late_s
            and any((since_s := one.worker_since_s) is not None and since_s < late_s for one in tries)
        )

    def synced(self, listed: Iterable[Instance]) -> None:
        """Take the registry's answer."""
        self._swap(self.pool.synced(listed, self._clock()))

    def failed(self, member: Member, error: str) -> None:
        """Take the news that a request did not reach the worker."""
        self._log.warning(
            "worker ejected", worker=member.id, address=str(member.instance.address), error=error
        )
        self._swap(self.pool.failed(member.id, error, self._clock(), self._rng))

    def answered(self, member: Member, status: int) -> None:
        """Take the news of an answer: a worker that fails again and again is of no use, reachable or not."""
        self._heard_s[member.id] = self._clock()
        if status < _FAILING_FROM:
            self._failing.pop(member.id, None)
            return
        self._failing[member.id] += 1
        if self._failing[member.id] >= _FAILING_TIMES:
            del self._failing[member.id]
            error = f"answered {_FAILING_TIMES} times in a row with an error, the last was {status}"
            self._swap(self.pool.failing(member.id, error, self._clock(), self._rng))

    def declined(self, member: Member, error: str) -> None:
        """Take the news that a worker sent a request away because it is not ready."""
        self._swap(self.pool.probed({member.id: (Probe.NOT_READY, error)}, self._clock(), self._rng))

    def probed(self, found: Mapping[str, tuple[Probe, str]]) -> None:
        """Take what probes found. Nobody need wait any longer for a worker that is unreachable."""
        for worker_id, (probe, _) in found.items():
            if probe is not Probe.UNREACHABLE:
                self._heard_s[worker_id] = self._clock()
                continue
            for patience in self._tries.get(worker_id, ()):
                patience.give_up()
        self._swap(self.pool.probed(found, self._clock(), self._rng))

    def probes_due(self) -> tuple[Member, ...]:
        """The workers to probe now."""
        return self.pool.to_probe(self._clock())

    def next_probe_in_s(self) -> float | None:
        """Seconds until a probe is due, 0 or more; None while nobody needs one."""
        at_s = self.pool.next_probe_s()
        return None if at_s is None else max(0.0, at_s - self._clock())

    def _swap(self, pool: Pool) -> None:
        before, self.pool = self.pool, pool
        for gone in before.members.keys() - pool.members.keys():
            self._log.info("worker dropped", worker=gone)
            self._heard_s.pop(gone, None)
            self._failing.pop(gone, None)
        for member in pool.members.values():
            known = before.members.get(member.id)
            if known is None or known.state is not member.state:
                self._log.info(
                    "worker " + member.state, worker=member.id, address=str(member.instance.address)
                )
        self.pool_changed.set()
