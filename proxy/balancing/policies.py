"""Load-balancing policies: which worker gets the next request. A pick costs the same for 2 workers and for
10,000.

Both policies skip workers that were tried already, and skip a worker in slow start in proportion to its
weight. They look only at the workers they draw; after a bounded number of skips the next one is taken.

Leases rotate through the workers, each from where the last one ended. So all workers are in the same
number of leases, give or take one. A worker in slow start is in as many, and the lease tells the client
its weight.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from tfleet.proxy.balancing.member import PoolMember
from tfleet.proxy.balancing.pool import Pool
from tfleet.proxy.settings import Balance

_MAX_SKIPS: Final = 16

LoadOf = Callable[[str, float], int]
"""A worker's load in requests, by its id and the time."""


class Picker(Protocol):
    """A policy: picks a routable worker that was not `tried`. There must be one."""

    def __call__(self, pool: Pool, tried: Collection[str], now_s: float) -> PoolMember: ...


class RoundRobin:
    """Each worker in turn."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._next = 0

    def __call__(self, pool: Pool, tried: Collection[str], now_s: float) -> PoolMember:
        workers = pool.routable
        # With even weights no random number is drawn: the common case stays cheap.
        skips = _MAX_SKIPS if pool.slow_start.uneven(now_s) else 0
        while True:
            if self._next >= len(workers):
                self._next = 0
            member = workers[self._next]
            self._next += 1
            if member.id in tried:
                continue
            if skips == 0 or _accepts(member, pool, now_s, self._rng):
                return member
            skips -= 1


class LeastRequest:
    """The less loaded of two workers drawn at random (power of two choices).

    `load` returns a worker's load at a time: this proxy's requests in flight there or, if that is more,
    the worker's own report of its queue (queue_report.py).

    Two choices come close to the optimum and cannot herd: Mitzenmacher, "The Power of Two Choices in
    Randomized Load Balancing", IEEE TPDS 12(10), 2001.
    """

    def __init__(self, load: LoadOf, rng: random.Random) -> None:
        self._load = load
        self._rng = rng

    def __call__(self, pool: Pool, tried: Collection[str], now_s: float) -> PoolMember:
        one = self._draw(pool, tried, now_s)
        # Two different workers: drawing the same one twice would make the choice a random one.
        but_one = (*tried, one.id)
        if not pool.has_other(but_one):
            return one
        other = self._draw(pool, but_one, now_s)
        return other if self._load(other.id, now_s) < self._load(one.id, now_s) else one

    def _draw(self, pool: Pool, tried: Collection[str], now_s: float) -> PoolMember:
        workers, uneven = pool.routable, pool.slow_start.uneven(now_s)
        for _ in range(_MAX_SKIPS):
            member = workers[int(self._rng.random() * len(workers))]
            if member.id not in tried and (not uneven or _accepts(member, pool, now_s, self._rng)):
                return member
        # Most workers were tried or are cold: walk on from a random one instead of drawing for ever.
        at = int(self._rng.random() * len(workers))
        while workers[at].id in tried:
            at = (at + 1) % len(workers)
        return workers[at]


POLICIES: Final[Mapping[Balance, Callable[[LoadOf, random.Random], Picker]]] = {
    "round-robin": lambda load, rng: RoundRobin(rng),
    "least-request": LeastRequest,
}
"""By the name that `--balance` takes. A new policy needs its name in settings.py and its line here."""


def _accepts(member: PoolMember, pool: Pool, now_s: float, rng: random.Random) -> bool:
    return member.warm_at_s <= now_s or rng.random() < pool.slow_start.weight(member.warm_at_s, now_s)


class LeaseRotation:
    """Rotates through the workers, lease by lease."""

    def __init__(self) -> None:
        self._next = 0

    def __repr__(self) -> str:
        return f"<LeaseRotation next={self._next}>"

    def __call__(
        self, workers: Sequence[PoolMember], n: int, tried: Collection[str]
    ) -> tuple[PoolMember, ...]:
        """Return up to `n` different workers, none of those `tried`."""
        leased: list[PoolMember] = []
        for _ in range(len(workers)):
            if len(leased) == n:
                break
            if self._next >= len(workers):
                self._next = 0
            member = workers[self._next]
            self._next += 1
            if member.id not in tried:
                leased.append(member)
        return tuple(leased)
