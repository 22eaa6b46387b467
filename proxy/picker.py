"""Which of the workers gets the next request. One call costs the same for 2 workers and for 10,000."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

from tfleet.proxy.pool import Member

Balance = Literal["round-robin", "least-request"]
BALANCES: Final = ("round-robin", "least-request")


class Picker(Protocol):
    """Picks one of `workers`, which is not empty."""

    def __call__(self, workers: Sequence[Member]) -> Member: ...


class RoundRobin:
    """One after the other."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, workers: Sequence[Member]) -> Member:
        member = workers[self._next % len(workers)]
        self._next += 1
        return member


class LeastRequest:
    """The one with fewer requests in flight of two that are drawn at random.

    Two choices come close to the best of all and cannot herd: Mitzenmacher, "The Power of Two Choices in
    Randomized Load Balancing", IEEE TPDS 12(10), 2001.
    """

    def __init__(self, in_flight: Callable[[str], int], rng: random.Random) -> None:
        self._in_flight = in_flight
        self._rng = rng

    def __call__(self, workers: Sequence[Member]) -> Member:
        if len(workers) == 1:
            return workers[0]
        first = self._rng.randrange(len(workers))
        second = self._rng.randrange(len(workers) - 1)
        second += second >= first  # never the same one twice
        one, other = workers[first], workers[second]
        return other if self._in_flight(other.id) < self._in_flight(one.id) else one
