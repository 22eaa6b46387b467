"""`python -m benchmarks.worker.overload`: what a worker does with twice what it can take.

It measures the peak of one worker, sends twice as much for half a minute, whether or not it is answered, and
measures again. It writes docs/benchmarks/overload.md. The load runs on the same CPUs, and what it waits for
one is in the times of the rejections.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import datetime
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load import closed_loop
from benchmarks.load.form import Form
from benchmarks.load.open_loop import BUSY, OK, WINDOW_S, Flood, flood
from benchmarks.load.photos import SMALL, photos
from benchmarks.report.figures import Figures
from benchmarks.report.machine import QUIET, busy, machine
from benchmarks.report.server_process import Server, server
from benchmarks.report.validity import crowded, short, verdict
from tests.support.canned_server import nobody

PAGE = Path(__file__).parents[2] / "docs/benchmarks/overload.md"
_CONNECTIONS = 32
_MAX_CONNECTIONS = 400
_PEAK_S = 10.0
_SECONDS, _TIMES = 30.0, 2.0
_GOODPUT, _REJECTION_MS = 0.9, 50.0


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """How many processors strangers used, the peak, the flood and the peak again; and the worker's memory
    before, in each second, and after.
    """

    strangers: float
    before: Figures
    flood: Flood
    after: Figures
    resident_mb: tuple[float, ...]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.worker.overload", description=(__doc__ or "").split("\n\n", 1)[1]
    )
    parser.add_argument("--seconds", type=float, default=_SECONDS, help=f"how long (default: {_SECONDS:g})")
    parser.add_argument("--times", type=float, default=_TIMES, help=f"of the peak (default: {_TIMES:g})")
    parser.add_argument("--json", action="store_true", help="print the figures instead of writing the page")
    options = parser.parse_args()
    form, port = Form.of(photos()[SMALL]), nobody().port
    arguments = ("worker", "--registry", "static:", "--port", str(port), "--log-format", "json")
    with server("worker", f"http://127.0.0.1:{port}/", "tfleet", arguments) as worker:
        _say("starting a worker")
        worker.ready(form)
        run = asyncio.run(_run(worker, form, options.seconds, options.times))
    strange = {status: count for status, count in run.flood.statuses.items() if status not in {OK, BUSY}}
    if strange or run.flood.broken or run.before.failed or run.after.failed:
        raise SystemExit(f"this run counts for nothing: {strange}, {run.flood.broken} broken, {run}")
    if run.flood.not_sent:
        raise SystemExit(f"the load was too small: {run.flood.not_sent} found no connection to be sent over")
    if options.json:
        print(json.dumps({"machine": machine()} | dataclasses.asdict(run)))
        return
    written = page(run, options.times)
    PAGE.write_text(written)
    print(written)


async def _run(worker: Server, form: Form, seconds: float, times: float) -> Run:
    strangers = await asyncio.to_thread(busy, 1.0)
    _say("its peak")
    await closed_loop.for_seconds(worker.url, form, _CONNECTIONS, 2.0)  # its memory takes its shape
    before = await closed_loop.for_seconds(worker.url, form, _CONNECTIONS, _PEAK_S)
    if before.too_few:
        raise SystemExit(f"{_PEAK_S:g} s are too short for a peak here: {before.answered} answers in all")
    resident_mb = [worker.resident_bytes / 1e6]
    rate = times * before.per_second
    _say(f"{rate:.0f} requests a second for {seconds:g} s")
    async with asyncio.TaskGroup() as group:
        sent = flood(
            worker.url,
            form.request(worker.url),
            per_second=rate,
            seconds=seconds,
            connections=_MAX_CONNECTIONS,
        )
        flooding = group.create_task(sent)
        while not flooding.done():
            await asyncio.wait([flooding], timeout=1.0)
            resident_mb.append(worker.resident_bytes / 1e6)
    _say("its peak again")
    after = await closed_loop.for_seconds(worker.url, form, _CONNECTIONS, _PEAK_S)
    return Run(strangers, before, flooding.result(), after, (*resident_mb, worker.resident_bytes / 1e6))


def page(run: Run, times: float) -> str:
    """The whole page, as Markdown."""
    peak, rejections = run.before.per_second, sorted(run.flood.rejections_ms) or [0.0]
    goodput, slowest = run.flood.goodput / peak, rejections[-1]
    least = run.flood.least_goodput / peak
    doubts = [
        *crowded(run.strangers),
        *short("s", run.flood.seconds, _SECONDS),
        *short("times the peak", times, _TIMES),
    ]
    first, during, last = run.resident_mb[0], run.resident_mb[1:-1], run.resident_mb[-1]
    middle = len(during) // 2
    early, late = during[:middle], during[middle:]
    command = " ".join([".venv/bin/python -m benchmarks.worker.overload", *sys.argv[1:]])
    length_s, late_ms = run.flood.seconds, run.flood.late_s * 1000
    sent, rejected = sum(run.flood.statuses.values()), run.flood.statuses.get(BUSY, 0)
    return "\n".join(
        [
            f"# A worker that gets {times:g} times what it can take",
            "",
            f"`{command}` on {datetime.date.today()}: {machine()}.",
            "",
            f"One worker, JPEGs of {SMALL}. Its peak is {peak:.0f} images/s, at {_CONNECTIONS} connections.",
            f"Then {sent / length_s:.0f} requests a second came for {length_s:g} s, whether or not the",
            f"earlier ones were answered: {sent:,}, of which {rejected:,} got 429 and the others 200. The",
            f"load runs on the same CPUs: it sent one request {late_ms:.0f} ms late, and the others less.",
            f"Before it, while all was idle, the machine was using {run.strangers:.2f} CPUs.",
            *(["**Others were at work on it: these figures say little.**"] if run.strangers > QUIET else []),
            "",
            "| | found | bar | |",
            "|---|---|---|---|",
            f"| good answers a second, against the peak | {goodput:.2f} | at least {_GOODPUT:g} | "
            f"{_verdict(goodput >= _GOODPUT, doubts)} |",
            f"| the same in the worst {WINDOW_S:g} s of the flood | {least:.2f} | | |",
            f"| slowest rejection, from the last byte of the request to the head of its answer | "
            f"{slowest:.1f} ms | under {_REJECTION_MS:g} ms | {_verdict(slowest < _REJECTION_MS, doubts)} |",
            f"| speed after it, against before | {run.after.per_second / peak:.2f} | | |",
            "",
            f"Rejections: p50 {statistics.median(rejections):.2f} ms, p99 "
            f"{rejections[int(len(rejections) * 0.99)]:.1f} ms.",
            "",
            f"Memory: {first:.0f} MB before, at most {max(early):.0f} MB in the first half of the flood and",
            f"{max(late):.0f} MB in the second, {last:.0f} MB after it.",
            "",
        ]
    )


def _verdict(met: bool, doubts: Sequence[str]) -> str:
    return verdict("met" if met else "**missed**", doubts)


def _say(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
