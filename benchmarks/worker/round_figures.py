"""The figures of each round. Ratios are calculated within a round: if the machine is slower for a while, both
sides are.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.report.figures import Figures
from benchmarks.report.spread import Spread
from benchmarks.worker.batch_strategies import Strategy

ROUNDS: Final = 5
"""How many a verdict takes."""
SECONDS: Final = 4
"""How long each of their figures has to be measured for that."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """A server, a photograph and a number of connections."""

    subject: str
    photo: str
    connections: int


@dataclass(frozen=True, slots=True)
class Round:
    """One round: how many processors strangers used before it, the model's own figures, by what is sent
    where it matters, those of each cell, and how many times as long as the next ones a new worker's first
    request took. `ways` are images a second in-process, by how the model was run. `single_ms` is of the small
    photograph, `large_ms` of the largest.
    """

    strangers: float
    ways: dict[Strategy, float]
    single_ms: float
    large_ms: float
    decode_ms: dict[str, float]
    cells: dict[Cell, Figures]
    first: float


def spread(rounds: Sequence[Round], figure: Callable[[Round], float]) -> Spread:
    """A figure, or a ratio of two, over all rounds."""
    return Spread.of([figure(one) for one in rounds])


def ceiling_way(rounds: Sequence[Round]) -> Strategy:
    """The way that was the fastest in the middle of the rounds. The fastest of each round would be whichever
    was lucky in it.
    """
    return max(rounds[0].ways, key=lambda way: statistics.median(one.ways[way] for one in rounds))


def plain_way(rounds: Sequence[Round]) -> Strategy:
    """The best that one caller can do who decodes, runs a batch, and begins anew."""
    return next(way for way in rounds[0].ways if way.plain)


def failed(rounds: Sequence[Round]) -> dict[Cell, int]:
    """How many requests failed, of the cells in which any did or in which none was answered."""
    found: dict[Cell, int] = {}
    for one in rounds:
        for cell, figures in one.cells.items():
            if figures.failed or not figures.per_second:
                found[cell] = found.get(cell, 0) + figures.failed
    return found
