"""The rounds of `make bench`: which servers are measured, in which order, and how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.load.enough import enough
from benchmarks.load.form import Form
from benchmarks.load.photos import LARGE, MIDDLE, SMALL
from benchmarks.report.figures import Figures
from benchmarks.report.machine import busy
from benchmarks.worker.batch_strategies import Strategy
from benchmarks.worker.ceiling import Ceiling
from benchmarks.worker.first_request import first_of
from benchmarks.worker.round_figures import Cell, Round
from benchmarks.worker.subjects import LITSERVE, UNBATCHED, WORKER, WORKER_BFLOAT16, Subjects

Load = Callable[[str, Form, int, float], Figures]
Say = Callable[[str], None]
_DECODES_S = 1.0
_LARGE_S = 1.0
_LOOKS_S = 1.0


@dataclass(frozen=True, slots=True)
class Measure:
    """Measures rounds. `load` posts a form to a URL over some connections for some seconds."""

    running: Subjects
    model: Ceiling
    ways: Sequence[Strategy]
    images: dict[str, bytes]
    load: Load
    seconds: float
    say: Say

    def round(self, number: int) -> Round:
        """Measure each cell once. Cells that are compared are neighbours; every other round is reversed."""
        found: dict[Cell, Figures] = {}
        own: dict[str, float] = {}
        rates: dict[Strategy, float] = {}
        cells = [partial(self._cell, found, cell) for cell in cells_of(tuple(self.running.servers))]
        turns = [
            partial(self._single, own),
            *cells[:-1],
            partial(self._ceiling, rates),
            cells[-1],
            partial(self._decoding, own),
            partial(self._first, own),
        ]
        self.say("what else the machine does")
        strangers = busy(_LOOKS_S)
        for turn in reversed(turns) if number % 2 else turns:
            turn()
        return Round(
            strangers=strangers,
            ways=rates,
            single_ms=own["single"],
            large_ms=own["large"],
            decode_ms={name: own[name] for name in self.images},
            cells=found,
            first=own["first"],
        )

    def _cell(self, found: dict[Cell, Figures], cell: Cell) -> None:
        self.say(f"{cell.subject}, {cell.photo}, {cell.connections} connections")
        form = Form.of(self.images[cell.photo])
        with self.running.turn(cell.subject) as subject:
            subject.ready(form)
            found[cell] = enough(partial(self.load, subject.url, form, cell.connections), self.seconds)

    def _single(self, own: dict[str, float]) -> None:
        self.say("one image in-process")
        own["single"] = self.model.single_ms(self.images[SMALL], self.seconds)
        own["large"] = self.model.single_ms(self.images[LARGE], _LARGE_S)

    def _ceiling(self, rates: dict[Strategy, float]) -> None:
        for way in self.ways:
            self.say(f"the ceiling: {way}")
            rates[way] = self.model.per_second(self.images[SMALL], way, self.seconds)

    def _decoding(self, own: dict[str, float]) -> None:
        for name, image in self.images.items():
            self.say(f"decoding {name}")
            own[name] = self.model.decode_ms(image, _DECODES_S)

    def _first(self, own: dict[str, float]) -> None:
        self.say("a new worker's first request")
        own["first"] = first_of(self.images[SMALL])


def cells_of(subjects: Sequence[str]) -> list[Cell]:
    """What a round measures. The worker and who it is compared with come side by side: first at 1 connection,
    last at 32.
    """
    others = [one for one in subjects if one not in {WORKER, UNBATCHED, WORKER_BFLOAT16}]
    reduced = [one for one in subjects if one == WORKER_BFLOAT16]
    return [
        *(Cell(one, SMALL, 1) for one in (WORKER, UNBATCHED, *reduced, *others)),
        *(Cell(one, SMALL, 8) for one in (WORKER, *reduced, *others)),
        *(Cell(one, photo, 8) for photo in (MIDDLE, LARGE) for one in (WORKER, *others)),
        *(Cell(one, SMALL, 32) for one in (*reduced, *others) if one != LITSERVE),
        Cell(LITSERVE, SMALL, 32),
        Cell(WORKER, SMALL, 32),
    ]
