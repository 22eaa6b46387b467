"""Measure rows on Spark: `tfleet.bulk.spark.score` beside Spark's own `predict_batch_udf` with Keras."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.dataset as ds

from benchmarks.bulk.circumstances import Circumstances
from benchmarks.bulk.columns import COLUMNS
from benchmarks.bulk.program import program
from benchmarks.bulk.rows import FORMS
from benchmarks.report.spread import Spread
from benchmarks.report.watched import Watched

OURS: Final = "tfleet"
UDF: Final = "predict_batch_udf"


@dataclass(frozen=True, slots=True)
class SparkTurn:
    """Seconds from reading to the end of writing, and the whole program."""

    seconds: float
    process: Watched


@dataclass(frozen=True, slots=True)
class SparkRound:
    """The turns of one form of file."""

    ours: SparkTurn
    udf: SparkTurn


@dataclass(frozen=True, slots=True)
class SparkFigures:
    """All rounds by form."""

    rows: int
    rounds: dict[str, list[SparkRound]]
    around: Circumstances

    def ratio(self, form: str) -> Spread:
        """Rows a second of ours over those of the other."""
        return Spread.of([one.udf.seconds / one.ours.seconds for one in self.rounds[form]])

    def cpu_ratio(self, form: str) -> Spread:
        """CPU seconds of the other over ours, of the whole programs."""
        return Spread.of([one.udf.process.cpu_s / one.ours.process.cpu_s for one in self.rounds[form]])

    def per_second(self, form: str, turn: Callable[[SparkRound], SparkTurn]) -> Sequence[float]:
        """Rows a second of each round."""
        return [self.rows / turn(one).seconds for one in self.rounds[form]]


def measure_spark(folder: Path, rows: int, rounds: int) -> SparkFigures:
    """Make the rows in the folder, and score them in turns."""
    if find_spec("pyspark") is None or shutil.which("java") is None:
        raise SystemExit(
            "this needs pyspark and Java 17: make spark, apt-get install openjdk-17-jre-headless"
        )
    around = Circumstances()
    program("benchmarks.bulk.make", (folder, rows))
    found: dict[str, list[SparkRound]] = {form: [] for form in FORMS}
    for number in range(rounds):
        for form in FORMS:
            around.look()
            ours = _turn(OURS, folder, form, number)
            found[form].append(SparkRound(ours, _turn(UDF, folder, form, number)))
            _check([folder / _out(way, form, number) for way in (OURS, UDF)], rows)
    return SparkFigures(rows, found, around)


def _turn(way: str, folder: Path, form: str, number: int) -> SparkTurn:
    arguments = (way, folder, folder / f"rows.{form}", folder / _out(way, form, number))
    found = program("benchmarks.bulk.spark_program", arguments)
    return SparkTurn(json.loads(found.output.splitlines()[-1])["seconds"], found)


def _out(way: str, form: str, number: int) -> str:
    return f"{way}-{form}-{number}"


def _check(outputs: Sequence[Path], rows: int) -> None:
    """Raise SystemExit unless both have all rows, and the same predictions."""
    sums = []
    for folder in outputs:
        table: Any = ds.dataset(folder).to_table()
        (predicted,) = set(table.schema.names) - {*COLUMNS, "_error"}
        if table.num_rows != rows:
            raise SystemExit(f"{folder.name} has {table.num_rows} rows instead of {rows}")
        sums.append(float(np.sum(table[predicted].to_numpy(), dtype=np.float64)))
    if not math.isclose(*sums, rel_tol=1e-5):
        raise SystemExit(f"the predictions differ: their sums are {sums}")
