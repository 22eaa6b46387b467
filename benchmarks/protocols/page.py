"""The page about protocols, and its bars."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.protocols.bodies import JSON, NPY, V2_BINARY
from benchmarks.protocols.measure import CONNECTIONS, Costs
from benchmarks.report.bar import Bar
from benchmarks.report.machine import machine, versions
from benchmarks.report.spread import Spread

_MOST_BINARY: Final = 1.05
_ADVICE: Final = (
    "## What to send",
    "",
    "- Send large tensors in binary form: `.npy` to `/predict`, or a binary tensor to `/v2`, as Triton's",
    "  client does. JSON has two to three times the bytes, and each number becomes an object on its way.",
    '- For an image send its file and not its pixels: `BYTES` below `/v2`, `{"b64": ...}` below `/v1`.',
    "- If it has to be JSON, send a flat list to `/v2`. Nested lists, as rows of `/v1` are, cost more: see",
    "  [JSON tensors](json-tensors.md).",
    "- For a few numbers take the protocol that your client speaks.",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured. `body_bytes` are those of the requests by protocol, of pixels and of a row."""

    pixels: Costs
    row: Costs
    body_bytes: tuple[Mapping[str, int], Mapping[str, int]]
    strangers: Spread


def ratios(costs: Costs, of: str, to: str) -> Spread:
    """How many times as long a request of one protocol takes as one of another, in the same round."""
    return Spread.of([one.wall_ms / other.wall_ms for one, other in zip(costs[of], costs[to], strict=True)])


def bars(found: Measured) -> Sequence[Bar]:
    """The targets."""
    binary = ratios(found.pixels, V2_BINARY, NPY)
    return [Bar("time of an image's pixels by `/v2` in binary, against .npy", None, _MOST_BINARY, binary)]


def page(found: Measured, command: str) -> str:
    """Markdown."""
    rounds = len(found.pixels[NPY])
    pixels_bytes, row_bytes = found.body_bytes
    lines = [
        "# Protocols",
        "",
        f"`{command}` on {datetime.date.today()}:",
        f"{machine()};",
        f"{versions(['tensorflow-cpu', 'numpy', 'orjson', 'flask'])}.",
        "",
        f"One worker, {CONNECTIONS} connections, {rounds} rounds in which all protocols take turns.",
        "Medians, and the lowest and the highest of the rounds in brackets. The models compute next to",
        "nothing, so that they hide no difference between two protocols. The load shares the CPUs, and",
        f"others used {_spread(found.strangers)} CPUs meanwhile.",
        "",
        *_table("the pixels of an image, 150,528 float32", found.pixels, NPY, ".npy", pixels_bytes),
        "",
        *_table("a row of ten columns", found.row, JSON, "`/predict`", row_bytes),
        "",
        "| bar | needed | measured | |",
        "|---|---|---|---|",
        *(f"| {bar.what} | {bar.bound} | {_spread(bar.found)} | {bar.verdict} |" for bar in bars(found)),
        "",
        *_ADVICE,
        "",
    ]
    return "\n".join(lines)


def _table(what: str, costs: Costs, to: str, name: str, sizes: Mapping[str, int]) -> list[str]:
    lines = [f"| {what} | bytes | ms for a request | times {name} | CPU, ms |", "|---|---|---|---|---|"]
    for protocol, found in costs.items():
        wall_ms, cpu_ms = (median(one.wall_ms for one in found), median(one.cpu_ms for one in found))
        times = "1" if protocol == to else _spread(ratios(costs, protocol, to))
        lines.append(f"| {protocol} | {sizes[protocol]:,} | {wall_ms:.2f} | {times} | {cpu_ms:.2f} |")
    return lines


def _spread(found: Spread) -> str:
    return f"{found.middle:.2f} ({found.low:.2f} to {found.high:.2f})"
