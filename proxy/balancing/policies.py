"""Which of the workers gets the next request. One call costs the same for 2 workers and for 10,000.

Both ways of choosing pass over a worker that was tried, and over one in its slow start as often as it is
cold. Nobody is looked at but those whose turn it is, and after so many passes the next one has to take it.

Which workers a lease names: one after the other, each lease from where the last one ended.

So of any number of leases each worker is in as many as every other one, give or take one, whatever their
size. A newcomer is in as many, too: what it is to get of the images is told by its weight (slow_start.py).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import Final, Literal, Protocol

from tfleet.proxy.balancing.pool import Pool, PoolMember

Balance = Literal["round-robin", "least-request"]
BALANCES: Final = ("round-robin", "least-request")

_MOST_PASSES: Final = 16


class Picker(Protocol):
    """Picks one that gets requests and is not among those `tried`. There has to be one."""

    def __call__(self, pool: Pool, tried: Collection[str], now_s: float) -> PoolMember: ...


class RoundRobin:
    """One after the other."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._next = 0

    def __call__(self, pool: Pool, tried: Collection[str], now_s: float) -> PoolMember:
        workers = pool.routable
        passes = _MOST_PASSES if pool.slow_start.uneven(now_s) else 0
        while True:
            if self._next >= len(workers):
                self._next = 0
            member = workers[self._next]
            self._next += 1
            if member.id in tried:
                continue
            if passes == 0 or _takes_its_turn(member, pool, now_s, self._rng):
                return member
            passes -= 1


class LeastRequest:
    """The one with less to do of two that are drawn at random.

    `load` says how much that is, at a time: what the proxy has in flight there or, if that is more, what the
    worker has said of its queue (see queue_report.py).

    Two choices come close to the best of all and cannot herd: Mitzenmacher, "The Power of Two Choices in
    Randomized Load Balancing", IEEE TPDS 12(10), 2001.
    """

    def __init__(self, load: Callable[[str, float], int], rng: random.Random) -> None:
        self._load = load
        self._rng = rng

    def __call__(self, pool: Pool, tried: Collection[str], now_s: float) -> PoolMember:
        one = self._draw(pool, tried, now_s)
        but_one = (*tried, one.id)
        if not pool.has_other(but_one):
            return one
        other = self._draw(pool, but_one, now_s)  # never the same one twice
        return other if self._load(other.id, now_s) < self._load(one.id, now_s) else one

    def _draw(self, pool: Pool, tried: Collection[str], now_s: float) -> PoolMember:
        workers, uneven = pool.routable, pool.slow_start.uneven(now_s)
        for _ in range(_MOST_PASSES):
            member = workers[int(self._rng.random() * len(workers))]
            if member.id not in tried and (not uneven or _takes_its_turn(member, pool, now_s, self._rng)):
                return member
        at = int(self._rng.random() * len(workers))
        while workers[at].id in tried:
            at = (at + 1) % len(workers)
        return workers[at]


def _takes_its_turn(member: PoolMember, pool: Pool, now_s: float, rng: random.Random) -> bool:
    return member.warm_at_s <= now_s or rng.random() < pool.slow_start.turn(member.warm_at_s, now_s)


class LeaseRotation:
    """Whose turn it is to be leased."""

    def __init__(self) -> None:
        self._next = 0

    def __repr__(self) -> str:
        return f"<LeaseRotation next={self._next}>"

    def __call__(
        self, workers: Sequence[PoolMember], n: int, tried: Collection[str]
    ) -> tuple[PoolMember, ...]:
        """Up to `n` of the workers, none of them twice and none of those `tried`."""
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
