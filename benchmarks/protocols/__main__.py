"""`python -m benchmarks.protocols`: what a request costs by each protocol of a worker.

An image's pixels and a row of a table are sent over 32 connections to one worker, by all protocols in turns:
as .npy and JSON to /predict, in binary and JSON to /v2, and as rows to /v1. It takes three minutes and writes
docs/benchmarks/protocols.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from pathlib import Path

from benchmarks.protocols import bodies
from benchmarks.protocols.measure import measured
from benchmarks.protocols.page import Measured, bars, page

PAGE = Path(__file__).parents[2] / "docs/benchmarks/protocols.md"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.protocols", description=(__doc__ or "").split("\n\n", 1)[1]
    )
    parser.add_argument("--rounds", type=int, default=7, help="rounds, in which all take turns (default: 7)")
    parser.add_argument("--seconds", type=int, default=2, help="seconds of each load (default: 2)")
    parser.add_argument("--json", action="store_true", help="print the figures instead of writing the page")
    options = parser.parse_args()
    pixels, row, strangers = measured(options.rounds, options.seconds)
    found = Measured(
        pixels,
        row,
        (_sizes(bodies.of_pixels()), _sizes(bodies.of_row())),
        strangers,
    )
    if options.json:
        print(json.dumps(_figures(found)))
        return
    text = page(found, shlex.join([".venv/bin/python", "-m", "benchmarks.protocols", *sys.argv[1:]]))
    PAGE.write_text(text)
    print(text)


def _sizes(requests: bodies.Requests) -> dict[str, int]:
    return {name: len(request.form.body) for name, request in requests.items()}


def _figures(found: Measured) -> dict[str, object]:
    """For pipes."""
    return dataclasses.asdict(found) | {
        "bars": [dataclasses.asdict(bar) | {"met": bar.met} for bar in bars(found)]
    }


if __name__ == "__main__":
    main()
