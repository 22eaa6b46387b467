"""A target of a measurement, and by how much it was met or missed."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.report.spread import Spread


@dataclass(frozen=True, slots=True)
class Bar:
    """A target: a figure has to be at least `least`, or at most `most`."""

    what: str
    least: float | None
    most: float | None
    found: Spread
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the median of the rounds meets the target."""
        above = self.least is None or self.found.middle >= self.least
        return above and (self.most is None or self.found.middle <= self.most)

    @property
    def bound(self) -> str:
        """As in `at least 0.95`."""
        return (
            f"at least {self.least:g}{self.unit}"
            if self.most is None
            else f"at most {self.most:g}{self.unit}"
        )

    @property
    def verdict(self) -> str:
        """As in `missed by 3 %`."""
        limit = self.least if self.most is None else self.most
        assert limit is not None
        return f"{'met' if self.met else '**missed**'} by {abs(self.found.middle / limit - 1):.1%}"
