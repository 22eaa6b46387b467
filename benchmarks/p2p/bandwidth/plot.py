"""The picture of `make bench-bandwidth`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.p2p.bandwidth.measure import IMAGE_BYTES, WORKERS, Cell, Mode
from benchmarks.p2p.bandwidth.run import Run

_COLOURS: Final[dict[Mode, str]] = {"p2p": "#0b6e99", "forward": "#e07a3f"}
_STYLE: Final = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
}


def plot(run: Run, path: Path) -> None:
    """Write it."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(11, 4.4), layout="constrained")
        speed, link = figure.subplots(1, 2, width_ratios=[3, 2])
        for mode, colour in _COLOURS.items():
            found = [run.mbit(Cell(mode, workers)) for workers in WORKERS]
            middle = [one.middle for one in found]
            reach = [[one.middle - one.low for one in found], [one.high - one.middle for one in found]]
            speed.errorbar(
                WORKERS, middle, reach, color=colour, marker="o", capsize=3, linewidth=2, label=mode
            )
            passed = [run.proxy_bytes(Cell(mode, workers)).middle for workers in WORKERS]
            link.plot(WORKERS, passed, color=colour, marker="o", linewidth=2, label=mode)
        links = [run.rate_mbit * workers for workers in WORKERS]
        speed.plot(WORKERS, links, color="#444444", linewidth=1, linestyle="--", label="all workers' links")
        speed.axhline(run.rate_mbit, color="#888888", linewidth=1, linestyle=":", label="the proxy's link")
        speed.set_title("Mbit/s of images")
        speed.set_ylim(0)
        speed.legend(frameon=False)
        link.axhline(IMAGE_BYTES, color="#888888", linewidth=1, linestyle=":", label="an image")
        link.set_yscale("log")
        link.set_title("Bytes through the proxy's link for an image")
        link.legend(frameon=False)
        for axes in (speed, link):
            axes.set_xticks(WORKERS)
            axes.set_xlabel("workers")
        figure.savefig(path, dpi=110)
