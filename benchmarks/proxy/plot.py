"""The picture of `make bench-proxy`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.proxy.measure import CONNECTIONS, Cell, Found
from benchmarks.proxy.peers import HAPROXY, NGINX, NODE, NODE_KEPT, TFLEET
from benchmarks.proxy.run import Run
from benchmarks.report.plot_style import STYLE

_COLOURS: Final = {
    NGINX: "#7fb069",
    HAPROXY: "#3d6b35",
    TFLEET: "#0b6e99",
    NODE_KEPT: "#f0b48a",
    NODE: "#e07a3f",
}
_WIDTH: Final = 0.84  # of the room that a group of bars has


def plot(run: Run, path: Path) -> None:
    """Write it."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(14, 4.6), layout="constrained")
        cpu, rate, late = figure.subplots(1, 3)
        _groups(cpu, run, lambda one: one.cpu_us)
        cpu.set_title("CPU of a 35 kB POST, µs")
        _groups(rate, run, lambda one: one.per_second / 1000)
        rate.set_title("Thousand requests a second")
        _groups(late, run, lambda one: one.p99_ms)
        late.set_yscale("log")
        late.set_title("p99, ms")
        handles, labels = rate.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        figure.savefig(path, dpi=110)


def _groups(axes: Any, run: Run, figure: Callable[[Found], float]) -> None:
    subjects = [one for one in _COLOURS if Cell(one, "post", CONNECTIONS[0]) in run.rounds[0]]
    width = _WIDTH / len(subjects)
    for number, subject in enumerate(subjects):
        for group, connections in enumerate(CONNECTIONS):
            found = run.spread(Cell(subject, "post", connections), figure)
            place = group + (number - (len(subjects) - 1) / 2) * width
            reach = [[found.middle - found.low], [found.high - found.middle]]
            label = subject if group == 0 else None
            axes.bar(place, found.middle, width * 0.92, color=_COLOURS[subject], label=label)
            axes.errorbar(place, found.middle, reach, color="#333333", linewidth=1, capsize=2)
            text = f"{found.middle:.0f}" if found.middle >= 10 else f"{found.middle:.1f}"
            axes.text(place, found.high, text, ha="center", va="bottom", fontsize=7)
    ticks = [f"{one} connection{'s' * (one > 1)}" for one in CONNECTIONS]
    axes.set_xticks(range(len(CONNECTIONS)), ticks)
