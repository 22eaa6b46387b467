"""`make bench-bandwidth`: forward mode is as fast as the proxy's link, p2p mode as all workers' links.

It makes network namespaces with links of a given rate, runs a real proxy, fake workers and tfleet's own
client in them, and writes docs/benchmarks/bandwidth.md and a plot. It wants root, and `ip` and `tc` (Debian:
apt-get install iproute2); where it can't have them it says so and ends with 0. It takes about three minutes.
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

from benchmarks.p2p.bandwidth.measure import rounds
from benchmarks.p2p.bandwidth.network import CannotMakeError
from benchmarks.p2p.bandwidth.page import page
from benchmarks.p2p.bandwidth.plot import plot
from benchmarks.p2p.bandwidth.run import Run
from benchmarks.report.machine import machine
from benchmarks.report.spread import Spread

FOLDER: Final = Path(__file__).parents[3] / "docs/benchmarks"


def main() -> None:
    """Measure and write."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that all is cleared away
    try:
        found, strangers = rounds(options.rounds, options.seconds, options.rate, _say)
    except CannotMakeError as reason:
        print(f"bench-bandwidth skipped: no network of namespaces here: {reason}")
        return
    except KeyboardInterrupt:
        raise SystemExit("interrupted; all is cleared away") from None
    arguments = [f"ARGS={shlex.join(sys.argv[1:])}"] if sys.argv[1:] else []
    run = Run(
        shlex.join(["make", "bench-bandwidth", *arguments]),
        options.seconds,
        options.rate,
        found,
        Spread.of(strangers),
    )
    if options.json:
        print(json.dumps(_figures(run)))
        return
    (FOLDER / "bandwidth.md").write_text(page(run))
    plot(run, FOLDER / "bandwidth.png")
    print(page(run))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-bandwidth", description=(__doc__ or "").split("\n\n", 1)[1]
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often all is measured (default: 3)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=3.0,
        help="for each figure of a round (default: 3)",
    )
    parser.add_argument(
        "--rate", type=float, default=50.0, help="Mbit/s of a link, in each direction (default: 50)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures instead of writing the page")
    return parser.parse_args()


def _say(what: str) -> None:
    print(f"bench-bandwidth: {what}", file=sys.stderr, flush=True)


def _figures(run: Run) -> dict[str, object]:
    """For pipes."""
    return {
        "machine": machine(),
        "command": run.command,
        "seconds": run.seconds,
        "rate_mbit": run.rate_mbit,
        "strangers": dataclasses.asdict(run.strangers),
        "bars": [dataclasses.asdict(bar) | {"met": bar.met} for bar in run.bars()],
        "rounds": [
            [dataclasses.asdict(cell) | dataclasses.asdict(found) for cell, found in one.items()]
            for one in run.rounds
        ],
    }


if __name__ == "__main__":
    main()
