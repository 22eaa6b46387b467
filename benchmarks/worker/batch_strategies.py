"""Strategies of running the model in one process without a network: batch size and threads.

The fastest of them is the ceiling. Which one is fastest changes from second to second on a shared machine, so
each round tries a few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

BATCHES: Final = (1, 4, 8, 16)
CANDIDATES: Final = 4
"""The number of strategies that a round tries."""
_IMPLAUSIBLE: Final = 4.0  # times SERIAL's rate, on 2 CPUs: the largest gain that was measured is 2.1


@dataclass(frozen=True, slots=True)
class Strategy:
    """`callers` threads run batches of `batch` images; `decoders` more threads decode the next images."""

    batch: int
    callers: int
    decoders: int

    def __str__(self) -> str:
        callers = "two callers, " if self.callers > 1 else ""
        beside = ", the next decoded beside" if self.decoders else ""
        return f"{callers}batches of {self.batch}{beside}"

    @property
    def plain(self) -> bool:
        """Whether one caller decodes and runs in turn."""
        return self.callers == 1 and not self.decoders


SERIAL: Final = Strategy(1, 1, 0)
STRATEGIES: Final = tuple(
    Strategy(batch, callers, decoders)
    for batch in BATCHES
    for callers, decoders in ((1, 0), (1, 1), (2, 0), (2, 2))
)


def absurd(rates: Mapping[Strategy, float]) -> list[Strategy]:
    """The strategies whose rate is too high to be true: errors of measurement."""
    return [way for way, rate in rates.items() if rate > _IMPLAUSIBLE * rates[SERIAL]]


def best(rates: Mapping[Strategy, float]) -> list[Strategy]:
    """The fastest strategies with a plausible rate, the fastest first; one of them is always plain."""
    wrong = absurd(rates)
    possible = sorted((way for way in rates if way not in wrong), key=rates.__getitem__, reverse=True)
    plain = next(way for way in possible if way.plain)
    possible.remove(plain)
    return [*possible[: CANDIDATES - 1], plain]
