"""The page about bulk runs."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.report.machine import machine
from benchmarks.report.spread import Spread

BAR: Final = 0.9
"""Of Keras' `predict`, with reading and writing."""


@dataclass(frozen=True, slots=True)
class BulkFigures:
    """Rows a second of each round by form of file, and the most memory of tfleet in MB."""

    ours: Mapping[str, Sequence[float]]
    keras: Mapping[str, Sequence[float]]
    row_by_row: float
    memory_mb: Mapping[str, float]

    def ratio(self, form: str) -> float:
        """The median of ours over that of Keras."""
        return Spread.of(self.ours[form]).middle / Spread.of(self.keras[form]).middle


def bulk_page(figures: BulkFigures, rows: int, options: str, packages: str) -> str:
    """Markdown. `packages` are those measured, with their versions."""
    lines = [
        "# Rows in bulk",
        "",
        f"`.venv/bin/python -m benchmarks.bulk{options}` on {datetime.date.today()}:",
        f"{machine()};",
        f"{packages}.",
        "",
        f"{rows:,} rows of ten binary columns, a network of 64 and 32 units. Medians of rounds in turns, and",
        "the slowest and fastest. Reading and writing are counted, importing TensorFlow is not.",
        "",
        "| rows a second | CSV | Parquet |",
        "|---|---|---|",
        _row("`tfleet score`", figures.ours),
        _row("Keras `predict`, batches of 4,096", figures.keras),
        f"| Keras `predict`, row by row | {figures.row_by_row:,.0f} | |",
        "",
        "| bar | needed | CSV | Parquet |",
        "|---|---|---|---|",
        f"| over Keras `predict` | {BAR} | {figures.ratio('csv'):.2f} | {figures.ratio('parquet'):.2f} |",
        "| most memory of `tfleet score`, MB | 1,000 "
        f"| {figures.memory_mb['csv']:,.0f} | {figures.memory_mb['parquet']:,.0f} |",
        "",
    ]
    return "\n".join(lines)


def _row(name: str, rates: Mapping[str, Sequence[float]]) -> str:
    return f"| {name} | {_spread(rates['csv'])} | {_spread(rates['parquet'])} |"


def _spread(rates: Sequence[float]) -> str:
    found = Spread.of(rates)
    return f"{found.middle:,.0f} ({found.low:,.0f} to {found.high:,.0f})"
