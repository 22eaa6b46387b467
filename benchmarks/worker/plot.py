"""The picture of `make bench`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmarks.load.photos import SMALL
from benchmarks.report.plot_style import STYLE
from benchmarks.report.spread import Spread
from benchmarks.worker.page import Run
from benchmarks.worker.round_figures import Cell, spread
from benchmarks.worker.subjects import FLASK, LITSERVE, PROXY, UNBATCHED, WORKER, WORKER_BFLOAT16

_COLOURS = {
    WORKER: "#0b6e99",
    WORKER_BFLOAT16: "#063f58",
    UNBATCHED: "#3fa9c9",
    PROXY: "#8ecae6",
    LITSERVE: "#e07a3f",
    FLASK: "#b8b8b8",
}
_IN_PROCESS: dict[str, Any] = {"color": "#444444", "linewidth": 1.2, "linestyle": "--"}
_ROOM = 1.12  # above the highest figure, for its label
_WIDTH = 0.82  # of the room that a group of bars has


def plot(run: Run, path: Path) -> None:
    """Write it."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(14, 4.6), layout="constrained")
        speed, alone, sizes = figure.subplots(1, 3, width_ratios=[3, 1.6, 2])
        _speed(speed, run)
        _alone(alone, run)
        _sizes(sizes, run)
        subjects = {cell.subject for cell in run.cells}
        known: list[Any] = [Patch(color=_COLOURS[one], label=one) for one in _COLOURS if one in subjects]
        known.append(Line2D([], [], label="in-process, without a network", **_IN_PROCESS))
        figure.legend(handles=known, loc="outside lower center", ncols=len(known), frameon=False)
        figure.savefig(path, dpi=110)


def _speed(axes: Any, run: Run) -> None:
    groups = (1, 8, 32)
    for subject, cells in _series(run, [(SMALL, connections) for connections in groups]).items():
        values = [run.of_ceiling(cell) if cell else None for cell in cells]
        _bars(axes, subject, values, run)
    axes.axhline(1, **_IN_PROCESS)
    axes.set_xticks(range(len(groups)), [f"{one} connection{'s' * (one > 1)}" for one in groups])
    axes.set_ylim(0, axes.dataLim.y1 * _ROOM)
    axes.set_title("Images/s, as a share of the ceiling")


def _alone(axes: Any, run: Run) -> None:
    single = spread(run.rounds, lambda one: one.single_ms).middle
    subjects = [cell.subject for cell in run.cells if cell.photo == SMALL and cell.connections == 1]
    subjects.sort(key=list(_COLOURS).index)
    for place, subject in enumerate(subjects):
        found = spread(run.rounds, lambda one: one.cells[Cell(subject, SMALL, 1)].p50_ms)  # noqa: B023 - called at once
        _bar(axes, place, found, 0.7, subject)
    axes.axhline(single, **_IN_PROCESS)
    axes.set_ylim(0, axes.dataLim.y1 * _ROOM)
    axes.set_xticks([])
    axes.set_title("p50 at 1 connection, ms")


def _sizes(axes: Any, run: Run) -> None:
    photos = list(run.photo_bytes)
    for subject, cells in _series(run, [(photo, 8) for photo in photos]).items():
        if any(cell is None for cell in cells):
            continue
        values = [
            spread(run.rounds, lambda one: one.cells[cell].per_second)  # noqa: B023 - called at once
            for cell in cells
            if cell
        ]
        _bars(axes, subject, values, run)
    axes.set_xticks(range(len(photos)), photos)
    axes.set_ylim(0, axes.dataLim.y1 * _ROOM)
    axes.set_title("Images/s by photograph, 8 connections")


def _series(run: Run, wanted: Sequence[tuple[str, int]]) -> dict[str, list[Cell | None]]:
    """For each subject that has any of these cells, its cells in their order."""
    known = run.rounds[0].cells
    found: dict[str, list[Cell | None]] = {}
    for subject in _COLOURS:
        cells = [Cell(subject, photo, connections) for photo, connections in wanted]
        if any(cell in known for cell in cells) and subject != UNBATCHED:
            found[subject] = [cell if cell in known else None for cell in cells]
    return found


def _bars(axes: Any, subject: str, values: Sequence[Spread | None], run: Run) -> None:
    subjects = [
        one for one in _COLOURS if one != UNBATCHED and any(cell.subject == one for cell in run.cells)
    ]
    width = _WIDTH / len(subjects)
    offset = (subjects.index(subject) - (len(subjects) - 1) / 2) * width
    for group, value in enumerate(values):
        if value is not None:
            _bar(axes, group + offset, value, width * 0.9, subject)


def _bar(axes: Any, place: float, value: Spread, width: float, subject: str) -> None:
    reach = [[value.middle - value.low], [value.high - value.middle]]
    axes.bar(place, value.middle, width, color=_COLOURS[subject])
    axes.errorbar(place, value.middle, reach, color="#333333", linewidth=1, capsize=2)
    digits = 2 if value.high < 2 else 0 if value.middle >= 100 else 1
    axes.text(place, value.high, f"{value.middle:.{digits}f}", ha="center", va="bottom", fontsize=8)
