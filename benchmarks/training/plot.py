"""The picture: what three heads know of each task, and how long they take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.bulk.plot_style import KERAS, OURS, bars
from benchmarks.report.plot_style import STYLE
from benchmarks.report.spread import Spread

SCIKIT: Final = "#6b8e23"
_HEADS: Final = (("tfleet", OURS), ("scikit-learn", SCIKIT), ("Keras Dense", KERAS))
Drawn = Mapping[str, Mapping[str, tuple[float, float]]]
"""For each task and head: the share that it knows, and its seconds of CPU."""


def plot(found: Drawn, path: Path) -> None:
    """Write it."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 4.2), layout="constrained")
        known, seconds = figure.subplots(1, 2)
        for number, (head, colour) in enumerate(_HEADS):
            values = [each[head] for each in found.values()]
            place = number, len(_HEADS)
            bars(known, [Spread.of([100 * share]) for share, _ in values], place, colour, head)
            bars(seconds, [Spread.of([took_s]) for _, took_s in values], place, colour, head)
        known.set_title("Known of the tested, %")
        known.set_ylim(0, 100)
        seconds.set_title("Seconds of CPU of the head")
        for axes in (known, seconds):
            axes.set_xticks(range(len(found)), list(found))
        handles, labels = known.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        figure.savefig(path, dpi=110)
