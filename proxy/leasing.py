"""Which workers a lease names: one after the other, each lease from where the last one ended.

So of any number of leases each worker is in as many as every other one, give or take one, whatever their
size. A newcomer is in as many, too: what it is to get of the images is told by its weight (slow_start.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tfleet.proxy.pool import Member


class Leasing:
    """Whose turn it is to be leased."""

    def __init__(self) -> None:
        self._next = 0

    def __repr__(self) -> str:
        return f"<Leasing next={self._next}>"

    def __call__(self, workers: Sequence[Member], n: int, tried: Collection[str]) -> tuple[Member, ...]:
        """Up to `n` of the workers, none of them twice and none of those `tried`."""
        leased: list[Member] = []
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
