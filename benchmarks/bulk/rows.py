"""Measure rows in bulk: `tfleet score` beside Keras' `predict`, and its memory over time."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from benchmarks.bulk.circumstances import Circumstances
from benchmarks.bulk.program import Scored, program, score
from benchmarks.report.spread import Spread
from benchmarks.report.watched import Watched

FORMS: Final = ("csv", "parquet")
MORE: Final = 10
"""The files of the run that shows whether memory grows."""
ROW_BY_ROW: Final = 300


@dataclass(frozen=True, slots=True)
class Turn:
    """One program's turn: rows a second, CPU seconds, seconds from its start to its end, and its memory."""

    per_second: float
    cpu_s: float
    process: Watched = field(repr=False)


@dataclass(frozen=True, slots=True)
class RowRound:
    """The turns of one form of file."""

    ours: Turn
    keras: Turn


@dataclass(frozen=True, slots=True)
class RowFigures:
    """All rounds by form, Keras asked row by row, and the most that a prediction differs from Keras'."""

    rows: int
    rounds: dict[str, list[RowRound]]
    row_by_row: Turn
    start_cpu_s: float
    more: dict[str, Scored]
    difference: float
    around: Circumstances

    def ratio(self, form: str) -> Spread:
        """Rows a second of ours over Keras'."""
        return Spread.of([one.ours.per_second / one.keras.per_second for one in self.rounds[form]])

    def cpu_ratio(self, form: str) -> Spread:
        """CPU seconds of Keras over ours."""
        return Spread.of([one.keras.cpu_s / one.ours.cpu_s for one in self.rounds[form]])

    def most_mb(self, form: str) -> float:
        """The most memory of ours."""
        sizes = [one.ours.process.most_bytes for one in self.rounds[form]]
        return max(*sizes, self.more[form].process.most_bytes) / 1e6


def measure_rows(folder: Path, rows: int, rounds: int) -> RowFigures:
    """Make the rows in the folder, and score them in turns."""
    around = Circumstances()
    program("benchmarks.bulk.make", (folder, rows))
    start = score(folder / "rows.parquet", "-o", folder / "one", "--model", folder / "binary", "--limit", 1)
    found: dict[str, list[RowRound]] = {form: [] for form in FORMS}
    for number in range(rounds):
        for form in FORMS:
            around.look()
            ours = _ours(folder, form, number, start.process.cpu_s)
            found[form].append(RowRound(ours, _keras(folder, form, rows)))
    difference = most_difference(folder / "parquet-0", folder / "keras.parquet")
    row_by_row = _keras(folder, "parquet", ROW_BY_ROW, ROW_BY_ROW)
    more = {form: _more(folder, form) for form in FORMS}
    return RowFigures(rows, found, row_by_row, start.process.cpu_s, more, difference, around)


def most_difference(ours: Path, keras: Path) -> float:
    """The most that a prediction differs. Raises SystemExit where rows are missing, or others."""
    names = [name for name in pq.read_schema(keras).names if name != "p"]
    one = ds.dataset(ours).to_table()
    (predicted,) = set(one.schema.names) - {*names, "_error"}
    other = pq.read_table(keras)
    if not one.select(names).cast(other.select(names).schema).equals(other.select(names)):
        raise SystemExit("the rows of the output are not those of the input")
    difference: Any = np.abs(one[predicted].to_numpy() - other["p"].to_numpy())
    return float(difference.max())


def _ours(folder: Path, form: str, number: int, start_cpu_s: float) -> Turn:
    out = folder / f"{form}-{number}"
    found = score(folder / f"rows.{form}", "-o", out, "--model", folder / "binary")
    return Turn(found.per_second, found.process.cpu_s - start_cpu_s, found.process)


def _keras(folder: Path, form: str, rows: int, *row_by_row: int) -> Turn:
    out = "row-by-row.parquet" if row_by_row else "keras.parquet"
    files = (folder / "model.keras", folder / f"rows.{form}", folder / out)
    found = program("benchmarks.bulk.keras_predict", (*files, *row_by_row))
    said = json.loads(found.output)
    return Turn(rows / said["seconds"], said["cpu_s"], found)


def _more(folder: Path, form: str) -> Scored:
    """Score the file many times over, under as many names."""
    names = _linked(folder / f"rows.{form}", folder / f"more-{form}", MORE)
    return score(*names, "-o", folder / f"more-{form}-out", "--model", folder / "binary")


def _linked(file: Path, folder: Path, count: int) -> Sequence[Path]:
    folder.mkdir()
    names = [folder / f"{number}{file.suffix}" for number in range(count)]
    for name in names:
        os.link(file, name)
    return names
