"""The page about tables."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.report.machine import machine

ROWS: Final = 4096
CONNECTIONS: Final = 32
WORKER: Final = "worker"
_JSON_BAR: Final = 3.0
_ARROW_BAR_MS: Final = 1.5


@dataclass(frozen=True, slots=True)
class Bulk:
    """Batches of 4,096 rows: milliseconds of CPU for one, and rows a second."""

    cpu_ms: float
    rows_per_s: float


@dataclass(frozen=True, slots=True)
class TableFigures:
    """`singles` are rows a second by server, of single JSON rows."""

    singles: Mapping[str, float]
    arrow: Bulk
    session: Bulk

    @property
    def best_peer(self) -> float:
        """Rows a second of LitServe's best setting."""
        return max(rate for name, rate in self.singles.items() if name != WORKER)


def table_page(figures: TableFigures, options: str, packages: str) -> str:
    """Markdown. `packages` are those measured, with their versions."""
    ratio = figures.singles[WORKER] / figures.best_peer
    more_ms = figures.arrow.cpu_ms - figures.session.cpu_ms
    lines = [
        "# Tables",
        "",
        f"`.venv/bin/python -m benchmarks.tables {options}` on {datetime.date.today()}:",
        f"{machine()};",
        f"{packages}.",
        "",
        "A model of ten columns, sixteen units and one probability. Medians of rounds in which all take",
        "turns; the load shares the CPUs.",
        "",
        f"| single JSON rows, {CONNECTIONS} connections | rows/s |",
        "|---|---|",
        *(f"| {name} | {rate:,.0f} |" for name, rate in figures.singles.items()),
        "",
        f"| {ROWS:,} rows at a time | CPU, ms | rows/s |",
        "|---|---|---|",
        _bulk(f"{WORKER}, Arrow bodies over two connections", figures.arrow),
        _bulk("the session alone, two threads", figures.session),
        "",
        "| bar | needed | measured |",
        "|---|---|---|",
        f"| JSON rows/s, over LitServe's best setting | {_JSON_BAR:g} | {ratio:.2f} |",
        f"| CPU of an Arrow body above the session's, ms | {_ARROW_BAR_MS:g} | {more_ms:.2f} |",
        "",
    ]
    return "\n".join(lines)


def _bulk(name: str, bulk: Bulk) -> str:
    return f"| {name} | {bulk.cpu_ms:.2f} | {bulk.rows_per_s:,.0f} |"
