"""What the page says of kills."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.bulk.kills import PART_ROWS, KillFigures
from benchmarks.bulk.text import paragraph


def kills_text(figures: Sequence[KillFigures]) -> list[str]:
    """The section."""
    lines = [
        *paragraph(
            f"A run over {figures[0].rows:,} rows with parts of at least {PART_ROWS:,} is killed by SIGKILL",
            "at random moments, and goes on with `--resume` each time. Then all files, the manifest too,",
            "are compared with those of a run that nobody killed.",
        ),
        "",
        "| | kills | parts there at each kill, of all | rows in the output | files with the same bytes |",
        "|---|---|---|---|---|",
    ]
    for one in figures:
        there = ", ".join(str(kill.parts) for kill in one.kills)
        verdict = "" if one.same else " **NOT THE SAME**"
        lines.append(
            f"| {one.form} | {len(one.kills)} | {there}; of {one.parts} | {one.found_rows:,} "
            f"| {one.equal_files} of {one.files}{verdict} |"
        )
    return lines
