"""What `make bench-bandwidth` found: figures, ratios and bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.p2p.bandwidth.measure import CELLS, IMAGE_BYTES, WORKERS, Cell, Found, Mode
from benchmarks.report.bar import Bar
from benchmarks.report.spread import Spread

_BIT: Final = 8
_MAX_WORKERS: Final = max(WORKERS)


@dataclass(frozen=True, slots=True)
class Run:
    """The figures of all rounds, and the options of the run."""

    command: str
    seconds: float
    rate_mbit: float
    rounds: Sequence[dict[Cell, Found]]
    strangers: Spread
    """How many processors others used before each round."""

    def per_second(self, cell: Cell) -> Spread:
        """Images a second."""
        return self._spread(lambda one: one[cell].per_second)

    def mbit(self, cell: Cell) -> Spread:
        """Mbit/s of images, without protocol overhead."""
        return self._spread(lambda one: one[cell].per_second * cell.image_bytes * _BIT / 1e6)

    def growth(self, mode: Mode, workers: int) -> Spread:
        """The ratio of the rate with this many workers to the rate with one."""
        return self._spread(lambda one: one[Cell(mode, workers)].per_second / one[Cell(mode, 1)].per_second)

    def proxy_bytes(self, cell: Cell) -> Spread:
        """Bytes of each image that passed the proxy's link."""
        return self._spread(lambda one: one[cell].proxy_bytes)

    def bars(self) -> list[Bar]:
        """The targets of p2p mode."""
        every = [
            Bar(
                f"p2p with {workers} workers, against {workers} times one",
                0.9,
                None,
                self._spread(lambda one: _share(one, workers)),  # noqa: B023 - called at once
            )
            for workers in WORKERS
            if workers > 1
        ]
        forward = self.mbit(Cell("forward", _MAX_WORKERS))
        of_link = Spread(*(mbit / self.rate_mbit for mbit in (forward.middle, forward.low, forward.high)))
        return [
            *every,
            Bar(
                f"forward with {_MAX_WORKERS} workers, against one",
                None,
                1.1,
                self.growth("forward", _MAX_WORKERS),
            ),
            Bar(f"forward with {_MAX_WORKERS} workers, images against the proxy's link", 0.9, None, of_link),
            *(
                Bar(f"p2p, bytes through the proxy for {cell.size}", None, 200, self.proxy_bytes(cell))
                for cell in CELLS
                if cell.mode == "p2p" and (cell.workers == _MAX_WORKERS or cell.image_bytes != IMAGE_BYTES)
            ),
        ]

    def _spread(self, figure: Callable[[dict[Cell, Found]], float]) -> Spread:
        return Spread.of([figure(one) for one in self.rounds])


def _share(one: dict[Cell, Found], workers: int) -> float:
    return one[Cell("p2p", workers)].per_second / one[Cell("p2p", 1)].per_second / workers
