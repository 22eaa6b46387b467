"""The ways in which the model can be run without a network. The best of them is the ceiling.

Which one that is differs from second to second on a machine with neighbours, so each round tries a few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

BATCHES: Final = (1, 4, 8, 16)
CANDIDATES: Final = 4
"""How many of them a round tries."""
_ABSURD: Final = 4.0  # times one image after the other on 2 CPUs: the most that was gained is 2.1


@dataclass(frozen=True, slots=True)
class Way:
    """So many callers run batches of this size; threads beside them decode the next ones, or nobody does."""

    batch: int
    callers: int
    decoders: int

    def __str__(self) -> str:
        callers = "two callers, " if self.callers > 1 else ""
        beside = ", the next decoded beside" if self.decoders else ""
        return f"{callers}batches of {self.batch}{beside}"

    @property
    def plain(self) -> bool:
        """Whether it is one caller who does one thing after the other."""
        return self.callers == 1 and not self.decoders


SERIAL: Final = Way(1, 1, 0)
WAYS: Final = tuple(
    Way(batch, callers, decoders)
    for batch in BATCHES
    for callers, decoders in ((1, 0), (1, 1), (2, 0), (2, 2))
)


def absurd(rates: Mapping[Way, float]) -> list[Way]:
    """Those that are too fast to be true, and so no ceiling."""
    return [way for way, rate in rates.items() if rate > _ABSURD * rates[SERIAL]]


def best(rates: Mapping[Way, float]) -> list[Way]:
    """The fastest of those that can be true, the very fastest first; a plain one is always among them."""
    wrong = absurd(rates)
    possible = sorted((way for way in rates if way not in wrong), key=rates.__getitem__, reverse=True)
    plain = next(way for way in possible if way.plain)
    possible.remove(plain)
    return [*possible[: CANDIDATES - 1], plain]
