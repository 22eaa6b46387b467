"""How busy the machine was with other things, which a page has to say."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from benchmarks.report.machine import QUIET, busy
from benchmarks.report.spread import Spread

_LOOKS_S = 1.0


@dataclass(slots=True)
class Circumstances:
    """CPUs that others used before each round, and the load average at the beginning."""

    load_average: float = field(default_factory=lambda: os.getloadavg()[0])
    strangers: list[float] = field(default_factory=list)

    def look(self) -> None:
        """Look at it, while nothing is measured."""
        self.strangers.append(busy(_LOOKS_S))

    def sentences(self) -> tuple[str, ...]:
        """What a page says of it."""
        found = Spread.of(self.strangers)
        used = f"{found.middle:.2f} ({found.low:.2f} to {found.high:.2f})"
        said = f"Before the rounds others used {used} CPUs, and the load average was {self.load_average:.1f}."
        busy_text = "**So the machine was not quiet,** and seconds of CPU say more than rates."
        return (said, busy_text) if found.high > QUIET else (said,)
