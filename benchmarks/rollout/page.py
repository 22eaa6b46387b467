"""The page and the table about rollouts."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from rich.table import Table

from benchmarks.report.machine import machine
from benchmarks.rollout.stage import Stage

_HEADINGS: Final = ("registry", "stage", "sent", "failed", "found (planned), %", "slowest, ms", "holds")


class Row(NamedTuple):
    """A stage, with the registry that it was sent with."""

    registry: str
    stage: Stage


def verdict(rows: list[Row]) -> str:
    """Whether all holds, in one line."""
    sent, failed = (
        sum(values) for values in zip(*((r.stage.requests, r.stage.failed) for r in rows), strict=True)
    )
    bad = sum(bool(row.stage.problem) for row in rows)
    held = "everything held" if not bad else f"**{bad} of {len(rows)} stages did not hold**"
    return f"{sent:,} requests in {len(rows)} stages, {failed} failed: {held}."


def rollout_page(rows: list[Row], *, command: str, rate: float, strangers: float) -> str:
    """Markdown. `strangers` are the CPUs that others used before the run."""
    lines = [
        "# Rollouts under load and faults",
        "",
        f"`{command}` on {datetime.date.today()}: {machine()}.",
        f"Other programs used {strangers:.2f} CPUs just before.",
        "",
        f"{verdict(rows)}",
        "",
        f"{rate:g} requests a second with inputs that differ. Proxy, workers and registry are processes of",
        "their own, on the machine that sends the load. Each answer is checked against the version that it",
        "names: it is the input times the version.",
        "",
        "A stage holds if no request failed, each version's share is within 2 points of the planned one (5",
        "for p2p clients, which choose at random by weights), and no other version answered. The slowest",
        "answer includes what a killed process costs: the time until its requests are sent again.",
        "",
        f"| {' | '.join(_HEADINGS)} |",
        f"|{'---|' * len(_HEADINGS)}",
        *(f"| {' | '.join(_cells(row))} |" for row in rows),
        "",
        "| registry | stage | besides |",
        "|---|---|---|",
        *(f"| {row.registry} | {row.stage.name} | {row.stage.note} |" for row in rows if row.stage.note),
        "",
    ]
    return "\n".join(lines)


def rollout_table(rows: list[Row]) -> Table:
    """For a terminal."""
    table = Table(*_HEADINGS, box=None, header_style="bold")
    for row in rows:
        table.add_row(*_cells(row), style="red" if row.stage.problem else "")
    return table


def rollout_json(rows: list[Row]) -> list[Mapping[str, Any]]:
    """One object for each stage."""
    return [
        {
            "registry": row.registry,
            **dataclasses.asdict(row.stage),
            "shares": dict(row.stage.shares),
            "problem": row.stage.problem,
        }
        for row in rows
    ]


def _cells(row: Row) -> tuple[str, ...]:
    stage = row.stage
    versions = sorted(stage.wanted.keys() | stage.shares.keys())
    shares = [
        f"{version}: {stage.shares.get(version, 0):.2f}"
        + (f" ({stage.wanted[version]:g})" if version in stage.wanted else "")
        for version in versions
    ]
    return (
        row.registry,
        stage.name,
        f"{stage.requests:,}",
        str(stage.failed),
        ", ".join(shares),
        f"{stage.slowest_ms:.0f}",
        stage.problem or "yes",
    )
