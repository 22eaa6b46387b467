"""What `make bench-proxy` found: figures, ratios and bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.proxy.measure import LARGE_CONNECTIONS, Cell, Found, Round
from benchmarks.proxy.peers import HAPROXY, LOOKUP, NGINX, NODE, NODE_LOOKUP, TFLEET
from benchmarks.report.bar import Bar
from benchmarks.report.spread import Spread
from benchmarks.report.validity import crowded, short

MS: Final = " ms"
ROUNDS: Final = 5
"""How many a verdict takes."""
_NEARLY: Final = 0.1
_BUFFER_MB: Final = 4.2  # the proxy's --replay-bytes, the most that it keeps of one body


@dataclass(frozen=True, slots=True)
class Run:
    """The figures of all rounds, and the options of the run."""

    command: str
    generator: str
    seconds: int
    missing: Sequence[str]
    rounds: Sequence[Round]
    growth_bytes: dict[str, float]
    """Of each proxy, for each 10 MB body in flight."""
    strangers: Spread
    """How many processors others used before each round."""

    @property
    def cells(self) -> list[Cell]:
        """What was measured in each round, fewer connections first."""
        return sorted(self.rounds[0], key=lambda cell: cell.connections)

    @property
    def half_load(self) -> Spread | None:
        """The share of what tfleet can take that its half load was; None where that can't be sent."""
        most, half = Cell(TFLEET, "post", 32), Cell(TFLEET, "half load", 32)
        if half not in self.rounds[0]:
            return None
        return Spread.of([one[half].per_second / one[most].per_second for one in self.rounds])

    def doubts(self, bar: Bar) -> list[str]:
        """The reason why this run is not valid for this target, if there is one."""
        doubts = [*crowded(self.strangers.high), *short("rounds", len(self.rounds), ROUNDS)]
        if bar.unit == MS and self.half_load and abs(self.half_load.middle - 0.5) > _NEARLY:
            doubts.append(f"it was {self.half_load.middle:.2f} of the load")
        return doubts

    def spread(self, cell: Cell, figure: Callable[[Found], float]) -> Spread:
        """The spread of a cell's figure over all rounds."""
        return Spread.of([figure(one[cell]) for one in self.rounds])

    def bars(self) -> list[Bar]:
        """The targets of a proxy; those whose peers are not installed are left out."""
        forward, lookup = Cell(TFLEET, "post", 32), Cell(LOOKUP, "lookup", 32)
        half, large = Cell(TFLEET, "half load", 32), Cell(TFLEET, "large", LARGE_CONNECTIONS)
        found: list[Bar] = []

        def against(
            what: str, ours: Cell, peer: str, figure: Callable[[Found], float], **bound: float
        ) -> None:
            theirs = Cell(peer, ours.kind, ours.connections)
            if theirs in self.rounds[0]:
                ratios = [figure(one[ours]) / figure(one[theirs]) for one in self.rounds]
                found.append(Bar(what, bound.get("least"), bound.get("most"), Spread.of(ratios)))

        against("CPU of a 35 kB POST, against HAProxy's", forward, HAPROXY, _cpu_us, most=1.5)
        against("CPU of a 35 kB POST, against the first idea's Node proxy", forward, NODE, _cpu_us, most=0.25)
        haproxy = Cell(HAPROXY, half.kind, half.connections)
        if haproxy in self.rounds[0]:
            added = Spread.of([one[half].p99_ms - one[haproxy].p99_ms for one in self.rounds])
            found.append(Bar("p99 at half load, over HAProxy's", None, 1, added, MS))
        against("10 MB bodies, throughput against nginx's", large, NGINX, _per_second, least=0.7)
        grown = Spread.of([self.growth_bytes[TFLEET] / 1e6])
        found.append(Bar("10 MB bodies, memory for each in flight", None, _BUFFER_MB, grown, " MB"))
        against("CPU of a lookup, against Node's p2p server", lookup, NODE_LOOKUP, _cpu_us, most=2)
        return found


def _cpu_us(found: Found) -> float:
    return found.cpu_us


def _per_second(found: Found) -> float:
    return found.per_second
