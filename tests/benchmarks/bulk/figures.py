"""Figures of runs that nobody made."""

from __future__ import annotations

from benchmarks.bulk.circumstances import Circumstances
from benchmarks.bulk.program import Scored
from benchmarks.report.watched import Watched

QUIET = Circumstances(0.5, [0.02])
CROWDED = Circumstances(7.5, [0.02, 1.5])


def process(*megabytes: int, cpu_s: float = 1.0) -> Watched:
    """A process with this memory at each second."""
    memory = [(float(second), size * 10**6) for second, size in enumerate(megabytes)]
    return Watched("", float(len(megabytes) - 1), cpu_s, memory)


def scored(per_second: float, *megabytes: int, seconds: float = 1.0, cpu_s: float = 1.0) -> Scored:
    """A run that scored in its last `seconds`."""
    summary = {"rows_per_s": per_second, "seconds": seconds, "rows": 1000}
    return Scored(summary, process(*megabytes, cpu_s=cpu_s))
