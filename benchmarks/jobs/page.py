"""The page about jobs."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

from benchmarks.report.bar import Bar
from benchmarks.report.machine import machine
from benchmarks.report.spread import Spread

CONNECTIONS: Final = 32
_MOST_ADDED_MS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Latencies:
    """Medians of one round, in milliseconds."""

    direct_ms: float
    queued_ms: float
    usual_ms: float


@dataclass(frozen=True, slots=True)
class Rates:
    """Predictions a second: direct, with `?queue=1`, and of jobs that were submitted and then asked for."""

    direct: float
    queued: float
    jobs: float

    def columns(self) -> tuple[float, float, float]:
        """All three."""
        return self.direct, self.queued, self.jobs


@dataclass(frozen=True, slots=True)
class Lost:
    """How many of so many images have no answer: of the usual list, and of our queue."""

    images: int
    usual: int
    ours: int


@dataclass(frozen=True, slots=True)
class JobFigures:
    """Over all rounds. What is added is the difference to the direct calls of the same round."""

    direct_ms: Spread
    queued_ms: Spread
    usual_ms: Spread
    added_ms: Spread
    usual_added_ms: Spread
    rates: Rates
    lost: Lost


def jobs_page(figures: JobFigures, options: str, packages: str) -> str:
    """Markdown. `packages` are those measured, with their versions."""
    bars = (
        Bar("latency that the queue adds at rest, ms", None, _MOST_ADDED_MS, figures.added_ms),
        Bar("images lost by our queue", None, 0, Spread.of([figures.lost.ours])),
    )
    rates, alike = figures.rates, f"{CONNECTIONS} connections"
    lines = [
        "# Jobs",
        "",
        f"`.venv/bin/python -m benchmarks.jobs {options}` on {datetime.date.today()}:",
        f"{machine()};",
        f"{packages}.",
        "",
        "A worker with a model of ten columns answers one row, through a proxy on the same machine. Redis",
        "writes its file with `appendfsync everysec`. The usual list is the way of many tutorials, written",
        "anew for this page: `LRANGE 0 31`, predict, `SET`, `LTRIM`, with a sleep of 0.25 s on both sides.",
        "",
        "| one call at a time | median, ms | more than direct, ms |",
        "|---|---|---|",
        f"| direct: `POST /predict` | {_shown(figures.direct_ms)} | |",
        f"| queued: `POST /predict?queue=1` | {_shown(figures.queued_ms)} | {_shown(figures.added_ms)} |",
        f"| the usual list | {_shown(figures.usual_ms)} | {_shown(figures.usual_added_ms)} |",
        "",
        "| load | predictions/s | to direct |",
        "|---|---|---|",
        f"| direct, {alike} | {rates.direct:,.0f} | 1.00 |",
        f"| `?queue=1`, {alike} | {rates.queued:,.0f} | {rates.queued / rates.direct:.2f} |",
        f"| `POST /jobs`, then `GET /jobs/ID` | {rates.jobs:,.0f} | {rates.jobs / rates.direct:.2f} |",
        "",
        f"| {figures.lost.images} images, two consumers | without an answer |",
        "|---|---|",
        f"| the usual list | {figures.lost.usual} |",
        f"| our queue | {figures.lost.ours} |",
        "",
        "| bar | wanted | found | |",
        "|---|---|---|---|",
        *(f"| {bar.what} | {bar.bound} | {_shown(bar.found)} | {_verdict(bar)} |" for bar in bars),
        "",
    ]
    return "\n".join(lines)


def _verdict(bar: Bar) -> str:
    return "met" if bar.met else "**missed**"


def _shown(spread: Spread) -> str:
    if spread.low == spread.high:
        return f"{spread.middle:.3g}"
    return f"{spread.middle:.3g} ({spread.low:.3g} to {spread.high:.3g})"
