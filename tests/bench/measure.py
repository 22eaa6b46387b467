"""The rounds of `make bench`: who is measured, in which order, and how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tests.bench.ceiling import Ceiling, Way
from tests.bench.figures import Figures
from tests.bench.form import Form
from tests.bench.machine import busy
from tests.bench.photos import LARGE, MIDDLE, SMALL
from tests.bench.rounds import Cell, Round
from tests.bench.subjects import LITSERVE, UNBATCHED, WORKER, WORKER_BFLOAT16, Subjects

Load = Callable[[str, Form, int, float], Figures]
Say = Callable[[str], None]
_DECODES_S = 1.0
_LOOKS_S = 1.0


@dataclass(frozen=True, slots=True)
class Measure:
    """Takes the rounds. `load` posts a form to a URL over so many connections for so many seconds."""

    running: Subjects
    model: Ceiling
    way: Way
    images: dict[str, bytes]
    load: Load
    seconds: float
    say: Say

    def round(self, number: int) -> Round:
        """Everybody once; what is compared stands side by side, and every other round goes backwards."""
        found: dict[Cell, Figures] = {}
        own: dict[str, float] = {}
        cells = [partial(self._cell, found, cell) for cell in cells_of(tuple(self.running.servers))]
        turns = [
            partial(self._single, own),
            *cells[:-1],
            partial(self._ceiling, own),
            cells[-1],
            partial(self._decoding, own),
        ]
        self.say("what else the machine does")
        strangers = busy(_LOOKS_S)
        for turn in reversed(turns) if number % 2 else turns:
            turn()
        return Round(
            strangers, own["ceiling"], own["single"], {name: own[name] for name in self.images}, found
        )

    def _cell(self, found: dict[Cell, Figures], cell: Cell) -> None:
        self.say(f"{cell.subject}, {cell.photo}, {cell.connections} connections")
        form = Form.of(self.images[cell.photo])
        with self.running.turn(cell.subject) as subject:
            subject.ready(form)
            found[cell] = self.load(subject.url, form, cell.connections, self.seconds)

    def _single(self, own: dict[str, float]) -> None:
        self.say("one image in-process")
        own["single"] = self.model.single_ms(self.images[SMALL], self.seconds)

    def _ceiling(self, own: dict[str, float]) -> None:
        self.say("the ceiling")
        own["ceiling"] = self.model.per_second(self.images[SMALL], self.way, self.seconds)

    def _decoding(self, own: dict[str, float]) -> None:
        for name, image in self.images.items():
            self.say(f"decoding {name}")
            own[name] = self.model.decode_ms(image, _DECODES_S)


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
