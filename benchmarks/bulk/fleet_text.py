"""What the page says of a fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.bulk.fleet import PHOTOGRAPHS, FleetFigures
from benchmarks.bulk.program import Scored
from benchmarks.bulk.text import paragraph, spread_text


def fleet_text(figures: FleetFigures) -> list[str]:
    """The section."""
    return [
        *paragraph(
            "The same rows and photographs with `--model` and with `--fleet`: one worker, and a proxy in",
            "p2p mode, on the same machine. So the work is the same, and the hop is what differs. A fleet",
            "is for more machines than one, which nothing here shows.",
            *figures.around.sentences(),
        ),
        "",
        "| | `--model` | `--fleet` | ratio |",
        "|---|---|---|---|",
        _row(f"rows/s, {figures.rows:,} from Parquet", figures.of_rows, 0),
        _row(f"images/s, {PHOTOGRAPHS:,} photographs", figures.of_photographs, 1),
    ]


def _row(name: str, found: Mapping[str, Sequence[Scored]], digits: int) -> str:
    local, fleet = ([one.per_second for one in found[way]] for way in ("--model", "--fleet"))
    ratios = [one / other for one, other in zip(fleet, local, strict=True)]
    return (
        f"| {name} | {spread_text(local, digits)} | {spread_text(fleet, digits)} | {spread_text(ratios, 2)} |"
    )
