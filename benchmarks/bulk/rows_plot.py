"""The picture of rows: how fast, and how much memory over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.bulk.plot_style import KERAS, OURS, bars
from benchmarks.bulk.program import MEMORY_MB
from benchmarks.bulk.rows import FORMS, MORE, RowFigures
from benchmarks.report.plot_style import STYLE
from benchmarks.report.spread import Spread

_LINES: Final = {"csv": "-", "parquet": "--"}


def plot_rows(figures: RowFigures, path: Path) -> None:
    """Write it."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(14, 4.6), layout="constrained")
        speed, memory, more = figure.subplots(1, 3, width_ratios=[1.4, 2, 2])
        _speed(speed, figures)
        _memory(memory, figures)
        _more(more, figures)
        handles, labels = memory.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        figure.savefig(path, dpi=110)


def _speed(axes: Any, figures: RowFigures) -> None:
    for number, (name, colour) in enumerate((("tfleet score", OURS), ("Keras predict", KERAS))):
        found = [
            Spread.of(
                [(one.ours if colour == OURS else one.keras).per_second / 1e6 for one in figures.rounds[form]]
            )
            for form in FORMS
        ]
        bars(axes, found, (number, 2), colour, name)
    axes.set_xticks(range(len(FORMS)), FORMS)
    axes.set_title("Million rows a second")
    axes.legend(frameon=False)


def _memory(axes: Any, figures: RowFigures) -> None:
    for form in FORMS:
        last = figures.rounds[form][-1]
        for name, turn, colour in (("tfleet score", last.ours, OURS), ("Keras", last.keras, KERAS)):
            _line(axes, turn.process.memory, colour, form, f"{name}, {form}")
    axes.set_title(f"Memory, MB, by seconds: {figures.rows / 1e6:g} million rows")
    _limit(axes)


def _more(axes: Any, figures: RowFigures) -> None:
    for form in FORMS:
        _line(axes, figures.more[form].process.memory, OURS, form, f"tfleet score, {form}")
    axes.set_title(f"The same: {figures.rows * MORE / 1e6:g} million rows")
    _limit(axes)


def _line(axes: Any, memory: Any, colour: str, form: str, label: str) -> None:
    seconds, sizes = zip(*memory, strict=True)
    mega = [size / 1e6 for size in sizes]
    axes.plot(seconds, mega, color=colour, linestyle=_LINES[form], linewidth=1.6, label=label)


def _limit(axes: Any) -> None:
    axes.axhline(MEMORY_MB, color="#444444", linewidth=1, linestyle=":", label="--memory of tfleet score")
    axes.set_ylim(0)
    axes.set_xlim(0)
