"""`make bench-proxy`: what a request costs in tfleet's proxy, nginx, HAProxy and Node's http-proxy.

All stand in front of one bare nginx; one at a time is loaded with a 35 kB multipart POST over 1, 32 and
256 connections, with 10 MB bodies and, in p2p mode, with lookups. It wants nginx; HAProxy, nodejs and npm
(Debian: apt-get install nginx haproxy nodejs npm) are measured where they are. Node's http-proxy is
installed by npm into a temporary folder. wrk sends the load where it is installed, else a generator of our
own, which takes more of the processors and can't send half a load. It writes docs/benchmarks/proxies.md
and a plot. It takes about ten minutes. Quote the ratios: machines differ.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import signal
import sys
from pathlib import Path
from typing import Final

from benchmarks.proxy.load import has_wrk
from benchmarks.proxy.measure import Measure
from benchmarks.proxy.page import page
from benchmarks.proxy.peers import peers
from benchmarks.proxy.plot import plot
from benchmarks.proxy.run import ROUNDS, Run
from benchmarks.report.machine import busy, machine
from benchmarks.report.spread import Spread

FOLDER: Final = Path(__file__).parents[2] / "docs/benchmarks"
_PHOTO: Final = Path(__file__).parents[2] / "tests/data/cat.jpg"
_LOOK_S: Final = 1.0
_OWN: Final = "a generator of our own (wrk is not installed)"


def main() -> None:
    """Measure and write."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that all of them are ended
    run = _measured(options)
    if options.json:
        print(json.dumps(_figures(run)))
        return
    (FOLDER / "proxies.md").write_text(page(run))
    plot(run, FOLDER / "proxies.png")
    print(page(run))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-proxy", description=(__doc__ or "").split("\n\n", 1)[1])
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"how often all is measured (default: {ROUNDS})"
    )
    parser.add_argument("--seconds", type=int, default=3, help="for each figure of a round (default: 3)")
    parser.add_argument("--json", action="store_true", help="print the figures instead of writing the page")
    return parser.parse_args()


def _measured(options: argparse.Namespace) -> Run:
    with peers() as running:
        for reason in running.missing:
            _say(f"left out: {reason}")
        measure = Measure(running, _PHOTO.read_bytes(), options.seconds, _say)
        rounds, strangers = [], []
        for number in range(options.rounds):
            strangers.append(busy(_LOOK_S))
            rounds.append(measure.round(number))
    arguments = [f"ARGS={shlex.join(sys.argv[1:])}"] if sys.argv[1:] else []
    return Run(
        command=shlex.join(["make", "bench-proxy", *arguments]),
        generator="wrk" if has_wrk() else _OWN,
        seconds=options.seconds,
        missing=running.missing,
        rounds=rounds,
        growth_bytes=measure.growth_bytes,
        strangers=Spread.of(strangers),
    )


def _say(what: str) -> None:
    print(f"bench-proxy: {what}", file=sys.stderr, flush=True)


def _figures(run: Run) -> dict[str, object]:
    """For pipes."""
    return {
        "machine": machine(),
        "command": run.command,
        "generator": run.generator,
        "seconds": run.seconds,
        "strangers": dataclasses.asdict(run.strangers),
        "growth_bytes": run.growth_bytes,
        "missing": list(run.missing),
        "bars": [
            dataclasses.asdict(bar) | {"met": None if run.doubts(bar) else bar.met} for bar in run.bars()
        ],
        "rounds": [
            [dataclasses.asdict(cell) | dataclasses.asdict(found) for cell, found in one.items()]
            for one in run.rounds
        ],
    }


if __name__ == "__main__":
    main()
