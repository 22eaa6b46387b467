"""The picture of rows on Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.bulk.plot_style import OURS, SPARK, bars
from benchmarks.bulk.rows import FORMS
from benchmarks.bulk.spark import SparkFigures, SparkRound, SparkTurn
from benchmarks.report.plot_style import STYLE
from benchmarks.report.spread import Spread


def _ours(one: SparkRound) -> SparkTurn:
    return one.ours


def _udf(one: SparkRound) -> SparkTurn:
    return one.udf


_WAYS: Final = (("tfleet.bulk.spark.score", OURS, _ours), ("predict_batch_udf", SPARK, _udf))
_LINES: Final = {"csv": "-", "parquet": "--"}


def plot_spark(figures: SparkFigures, path: Path) -> None:
    """Write it."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 4.6), layout="constrained")
        speed, memory = figure.subplots(1, 2, width_ratios=[1.2, 2])
        for number, (name, colour, turn) in enumerate(_WAYS):
            found = [Spread.of([rate / 1000 for rate in figures.per_second(form, turn)]) for form in FORMS]
            bars(speed, found, (number, len(_WAYS)), colour, name)
            for form in FORMS:
                seconds, sizes = zip(*turn(figures.rounds[form][-1]).process.memory, strict=True)
                gigabytes = [size / 1e9 for size in sizes]
                memory.plot(seconds, gigabytes, color=colour, linestyle=_LINES[form], label=f"{name}, {form}")
        speed.set_xticks(range(len(FORMS)), FORMS)
        speed.set_title("Thousand rows a second on Spark")
        memory.set_title("Memory of all processes, GB, by seconds")
        memory.set_ylim(0)
        memory.set_xlim(0)
        handles, labels = memory.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        figure.savefig(path, dpi=110)
