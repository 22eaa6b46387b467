"""The page of `make bench-proxy`, docs/benchmarks/proxies.md."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from benchmarks.proxy.measure import LARGE_BYTES, LARGE_CONNECTIONS, Cell, Found, Kind
from benchmarks.proxy.peers import ANSWER_BYTES, DIRECT, HAPROXY
from benchmarks.proxy.run import MS, Run
from benchmarks.report.bar import Bar
from benchmarks.report.machine import QUIET, machine, versions
from benchmarks.report.spread import Spread
from benchmarks.report.validity import verdict


def page(run: Run) -> str:
    """The whole page, as Markdown."""
    return "\n".join(
        [*_introduction(run), "", *_bars(run), "", *_posts(run), "", *_others(run), "", *_notes(run), ""]
    )


def _introduction(run: Run) -> list[str]:
    lines = [
        "# What a proxy costs",
        "",
        f"`{run.command}` on {datetime.date.today()}: {machine()}.",
        f"{versions(('uvloop', 'aiohttp'))}; load by {run.generator}, on the same CPUs.",
        "",
        f"Behind all of them is one bare nginx that reads the body and answers {ANSWER_BYTES} bytes. One",
        f"proxy at a time is loaded, {run.seconds} s for each figure, in {len(run.rounds)} rounds; every",
        "other round goes backwards. CPU is the processor time (user and system) of a proxy's processes by",
        "the answers of the load. Shown are the middle and, in brackets, the least and the most; ratios are",
        "taken within a round. No request failed.",
        "Before the rounds, while all of this was idle, the machine was using",
        f"{_text(run.strangers, 2)} CPUs.",
    ]
    if run.strangers.high > QUIET:
        lines.append("**Others were at work on it: these figures say little.**")
    if run.missing:
        lines += ["", f"Left out: {'; '.join(run.missing)}."]
    return [*lines, "", "![CPU of a request, requests a second and latency](proxies.png)"]


def _bars(run: Run) -> list[str]:
    lines = ["| bar | wanted | found | |", "|---|---|---|---|"]
    for bar in run.bars():
        lines.append(f"| {bar.what} | {bar.bound} | {_text(bar.found, 2)}{bar.unit} | {_verdict(run, bar)} |")
    return lines


def _posts(run: Run) -> list[str]:
    lines = [
        "A multipart POST of 35 kB. *Ratio* is the CPU against HAProxy's:",
        "",
        "| | connections | CPU µs | ratio | requests/s | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for cell in run.cells:
        if cell.kind == "post":
            ratio = "" if cell.subject == DIRECT else _ratio(run, cell)
            cpu = "" if cell.subject == DIRECT else _of(run, cell, lambda one: one.cpu_us, 0)
            lines.append(f"| {cell.subject} | {cell.connections} | {cpu} | {ratio} | {_speed(run, cell)} |")
    return lines


def _others(run: Run) -> list[str]:
    lines = []
    half, share = _cells(run, "half load"), run.half_load
    if share:
        lines += [
            f"The same over {half[0].connections} connections that wait before each request, so long that",
            f"tfleet has {_text(share, 2)} of the load that it can take:",
            "",
            "| | CPU µs | requests/s | p50 ms | p99 ms |",
            "|---|---|---|---|---|",
        ]
        for cell in half:
            lines.append(
                f"| {cell.subject} | {_of(run, cell, lambda one: one.cpu_us, 0)} | {_speed(run, cell)} |"
            )
        lines.append("")
    lines += [
        f"Bodies of {LARGE_BYTES / 1e6:g} MB over {LARGE_CONNECTIONS} connections; *memory* is by how much",
        "the first such load made a proxy grow at most, for each connection:",
        "",
        "| | MB/s | CPU ms | memory MB |",
        "|---|---|---|---|",
    ]
    for cell in _cells(run, "large"):
        speed = _of(run, cell, lambda one: one.per_second * LARGE_BYTES / 1e6, 0)
        if cell.subject == DIRECT:
            lines.append(f"| {cell.subject} | {speed} | | |")
            continue
        cpu = _of(run, cell, lambda one: one.cpu_us / 1000, 1)
        lines.append(f"| {cell.subject} | {speed} | {cpu} | {run.growth_bytes[cell.subject] / 1e6:.2f} |")
    lines += [
        "",
        "A lookup, `GET /` over 32 connections:",
        "",
        "| | CPU µs | lookups/s | p50 ms | p99 ms |",
        "|---|---|---|---|---|",
    ]
    for cell in _cells(run, "lookup"):
        cpu = _of(run, cell, lambda one: one.cpu_us, 1)
        lines.append(f"| {cell.subject} | {cpu} | {_speed(run, cell)} |")
    return lines


def _notes(run: Run) -> list[str]:
    return [
        "The peers are configured as their documentation has it for connections to the backend that are",
        "kept, with one process or thread each, and without a log of requests; tfleet writes its line for",
        "each. Their configuration is in [benchmarks/proxy](../../benchmarks/proxy). nginx has",
        "`proxy_request_buffering off`, so that it passes bodies on as they come, as the others do. The",
        "first idea's Node proxy makes a connection for each request, and ends the client's with each",
        "answer.",
    ]


def _verdict(run: Run, bar: Bar) -> str:
    """In ms the bar is a difference, of which no percentage would say anything."""
    said = bar.verdict
    if bar.unit == MS and bar.most is not None:
        said = f"{'met' if bar.met else '**missed**'} by {abs(bar.found.middle - bar.most):.2f} ms"
    return verdict(said, run.doubts(bar))


def _cells(run: Run, kind: Kind) -> list[Cell]:
    return [cell for cell in run.rounds[0] if cell.kind == kind]


def _ratio(run: Run, cell: Cell) -> str:
    peer = Cell(HAPROXY, cell.kind, cell.connections)
    if peer not in run.rounds[0]:
        return ""
    return _text(Spread.of([one[cell].cpu_us / one[peer].cpu_us for one in run.rounds]), 2)


def _speed(run: Run, cell: Cell) -> str:
    rate = run.spread(cell, lambda one: one.per_second).middle
    p50, p99 = (_of(run, cell, figure, 2) for figure in (lambda one: one.p50_ms, lambda one: one.p99_ms))
    return f"{rate:,.0f} | {p50} | {p99}"


def _of(run: Run, cell: Cell, figure: Callable[[Found], float], digits: int) -> str:
    return _text(run.spread(cell, figure), digits)


def _text(spread: Spread, digits: int) -> str:
    return f"{spread.middle:,.{digits}f} ({spread.low:,.{digits}f} to {spread.high:,.{digits}f})"
