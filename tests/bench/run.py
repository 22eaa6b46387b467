"""`make bench`: the fleet held against the model's own speed, all in one run on one machine.

It measures the in-process ceiling, one worker called directly, and the same worker through the proxy, at 1,
8 and 32 connections, and writes a table to docs/benchmarks/fleet.md. Quote the ratios: machines differ, and
this one shares its CPUs with the load that is sent.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import json
import multiprocessing
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.ceiling import ceiling
from tests.bench.load import Figures, load
from tests.bench.machine import machine

ROOT = Path(__file__).parents[2]
CONNECTIONS = (1, 8, 32)
_START_S = 120


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--requests", type=int, default=400, help="for each figure (default: 400)")
    parser.add_argument("--json", action="store_true", help="print the figures instead of writing the table")
    options = parser.parse_args()
    image = (ROOT / "tests/data/cat.jpg").read_bytes()

    _say("the ceiling, in a process of its own")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        rates = pool.apply(ceiling, (image,), {"images": options.requests})
    figures: dict[str, dict[int, Figures]] = {}
    with _fleet() as (worker, proxy):
        for name, url in (("worker", worker), ("through the proxy", proxy)):
            figures[name] = {}
            for connections in CONNECTIONS:
                _say(f"{name}, {connections} connections")
                run = load(url, image, connections=connections, requests=options.requests)
                figures[name][connections] = asyncio.run(run)
    if options.json:
        print(json.dumps({"machine": machine(), "ceiling": rates, "figures": figures}, default=_fields))
        return
    table = _table(rates, figures, options.requests)
    (ROOT / "docs/benchmarks/fleet.md").write_text(table)
    print(table)


@contextlib.contextmanager
def _fleet() -> Iterator[tuple[str, str]]:
    """One worker and one proxy; their URLs."""
    command = [sys.executable, "-m", "tfleet", "up", "--workers", "1", "--port", "0", "--registry-port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        port = next(_ports(process.stdout))
        yield f"http://{_worker(port)}/", f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.communicate()


def _ports(lines: Any) -> Iterator[int]:
    for line in lines:
        if "localhost:" in line:
            yield int(line.partition("localhost:")[2].split()[0].strip("'").partition("/")[0])
    raise SystemExit("tfleet up ended before it was ready")


def _worker(port: int) -> str:
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(urllib.error.HTTPError):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/worker") as answer:
                return str(answer.read().decode().strip())
        time.sleep(0.1)
    raise SystemExit(f"no worker within {_START_S} s")


def _table(rates: dict[int, float], figures: dict[str, dict[int, Figures]], requests: int) -> str:
    best = max(rates.values())
    batches = ", ".join(f"{rate:.0f} at batch {batch}" for batch, rate in rates.items())
    lines = [
        "# The fleet against the model's own speed",
        "",
        f"`make bench ARGS='--requests {requests}'` on {datetime.date.today()}: {machine()}.",
        "",
        "JPEG bytes of 35 kB in, best five labels out. The load runs on the same CPUs.",
        "",
        f"In-process ceiling, images/s: {batches}. *Ratio* is against the best of them.",
        "",
        "| | connections | images/s | ratio | p50 ms | p99 ms | failed |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, runs in figures.items():
        for connections, run in runs.items():
            lines.append(
                f"| {name} | {connections} | {run.per_second:.0f} | {run.per_second / best:.2f} "
                f"| {run.p50_ms:.1f} | {run.p99_ms:.1f} | {run.failed} |"
            )
    return "\n".join([*lines, ""])


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _say(what: str) -> None:
    print(f"measuring {what} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
