"""The page of `make bench-bandwidth`, docs/benchmarks/bandwidth.md."""

from __future__ import annotations

import datetime

from benchmarks.p2p.bandwidth.measure import CELLS, IMAGE_BYTES, WORKERS, Cell
from benchmarks.p2p.bandwidth.run import Run
from benchmarks.report.machine import machine
from benchmarks.report.spread import Spread


def page(run: Run) -> str:
    """The whole page, as Markdown."""
    return "\n".join([*_introduction(run), "", *_bars(run), "", *_workers(run), "", *_sizes(run), ""])


def _introduction(run: Run) -> list[str]:
    return [
        "# What p2p mode does for the proxy's link",
        "",
        f"`{run.command}` on {datetime.date.today()}: {machine()}.",
        "",
        f"A client, a proxy and {max(WORKERS)} workers, each in a network namespace of its own. The links",
        f"of the proxy and of each worker carry {run.rate_mbit:g} Mbit/s in each direction (`tc`, tbf),",
        "the client's is wide. `tfleet proxy` is the real one; the workers only read the image and answer,",
        "so that the network is the limit. The load is tfleet's own Python client, with",
        f"{Cell('p2p', 1).calls} calls at once for each worker in p2p mode and {Cell('forward', 1).calls} in",
        f"all in forward mode, {run.seconds:g} s for each figure, in {len(run.rounds)} rounds in turns.",
        "Shown are the middle and, in brackets, the least and the most; ratios are taken within a round.",
        "No image failed. Before the rounds, while all of this was idle, the machine was using",
        f"{_text(run.strangers, 2)} CPUs: of these figures the shaped links are the limit, not those.",
        "",
        "A link's bytes are those that its shapers let pass in both directions, with the headers of",
        "Ethernet, IP, TCP and HTTP, from before the client starts until it has ended: making connections",
        "and all lookups count. So an image that is forwarded counts twice, once in and once out.",
        "",
        "![Mbit/s of images by the number of workers](bandwidth.png)",
    ]


def _bars(run: Run) -> list[str]:
    lines = ["| bar | wanted | found | |", "|---|---|---|---|"]
    for bar in run.bars():
        digits = 0 if bar.found.middle > 10 else 3
        lines.append(f"| {bar.what} | {bar.bound} | {_text(bar.found, digits)} | {bar.verdict} |")
    return lines


def _workers(run: Run) -> list[str]:
    lines = [
        f"{IMAGE_BYTES / 1000:g} kB an image; *Mbit/s* are those of the images alone, without headers:",
        "",
        "| mode | workers | images/s | Mbit/s | against one worker | bytes through the proxy's link |",
        "|---|---|---|---|---|---|",
    ]
    for cell in sorted(CELLS, key=lambda cell: (cell.mode, cell.workers)):
        if cell.image_bytes == IMAGE_BYTES:
            rate, growth = run.per_second(cell), run.growth(cell.mode, cell.workers)
            lines.append(
                f"| {cell.mode} | {cell.workers} | {_text(rate, 1)} | {_text(run.mbit(cell), 1)} "
                f"| {_text(growth, 2)} | {run.proxy_bytes(cell).middle:,.0f} |"
            )
    return lines


def _sizes(run: Run) -> list[str]:
    lines = [
        "Images of other sizes:",
        "",
        "| mode | workers | | images/s | Mbit/s | bytes through the proxy's link |",
        "|---|---|---|---|---|---|",
    ]
    for cell in CELLS:
        if cell.image_bytes != IMAGE_BYTES:
            lines.append(
                f"| {cell.mode} | {cell.workers} | {cell.size} | {_text(run.per_second(cell), 1)} "
                f"| {_text(run.mbit(cell), 1)} | {run.proxy_bytes(cell).middle:,.0f} |"
            )
    return lines


def _text(spread: Spread, digits: int) -> str:
    return f"{spread.middle:,.{digits}f} ({spread.low:,.{digits}f} to {spread.high:,.{digits}f})"
