"""A load that lasts until it has enough answers for a rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from benchmarks.report.figures import Figures

_LONGEST_S: Final = 60.0


def enough(load: Callable[[float], Figures], seconds: float) -> Figures:
    """Figures of a load of this many seconds, or of as many as a rate needs."""
    found = load(seconds)
    while found.too_few and seconds < _LONGEST_S:
        seconds *= 2
        found = load(seconds)
    return found
