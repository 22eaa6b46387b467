"""`make bench`: compares workers with the speed of TensorFlow, all in one run on one machine.

It measures what the model can do in one process without a network, and compares with it tfleet's worker at
1, 8 and 32 connections, the worker behind the proxy, Flask's own server and LitServe, with photographs of
three sizes. On 2 CPUs it takes about ten minutes. It writes docs/benchmarks/workers.md and a plot. wrk sends
the load where it is installed (apt-get install wrk), else a generator of our own, which takes more of the
processors. Quote the ratios: machines differ.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress

from benchmarks.load import closed_loop, wrk
from benchmarks.load.form import Form
from benchmarks.load.photos import SMALL, photos
from benchmarks.report.machine import machine
from benchmarks.worker.bars import bars
from benchmarks.worker.batch_strategies import CANDIDATES, STRATEGIES, best
from benchmarks.worker.ceiling import PASSES, Ceiling, ceiling
from benchmarks.worker.measure import Measure, cells_of
from benchmarks.worker.page import Run, page
from benchmarks.worker.plot import plot
from benchmarks.worker.round_figures import ROUNDS, SECONDS, failed
from benchmarks.worker.subjects import WORKER_BFLOAT16, Subjects, subjects

FOLDER: Final = Path(__file__).parents[2] / "docs/benchmarks"
_OWN = "a generator of our own (wrk is not installed)"
_WAY_S = 1.0  # for each way of the ceiling and each pass, before the rounds


def main() -> None:
    """Measure and write."""
    options = _options()
    run = _measured(options)
    if lost := failed(run.rounds):
        raise SystemExit(f"this run counts for nothing, requests failed: {lost}")
    if options.json:
        print(json.dumps(_figures(run)))
        return
    written = page(run, {path.name for path in FOLDER.glob("*.md")})
    (FOLDER / "workers.md").write_text(written)
    plot(run, FOLDER / "workers.png")
    print(written)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").split("\n\n", 1)[1])
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"how often all is measured (default: {ROUNDS})"
    )
    parser.add_argument(
        "--seconds",
        type=int,
        default=SECONDS,
        help=f"for each figure of a round (default: {SECONDS}); nothing is judged by less",
    )
    parser.add_argument("--json", action="store_true", help="print the figures instead of writing the page")
    return parser.parse_args()


def _measured(options: argparse.Namespace) -> Run:
    generator, images = wrk.found(), photos()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting everybody", total=None)

        def say(what: str) -> None:
            progress.update(task, description=what, advance=1)

        with ceiling() as model, subjects() as running:
            _check_answers(running, model, images, say)
            running.calm()
            turns = len(cells_of(tuple(running.servers))) + CANDIDATES + 3 + len(images)
            progress.update(task, total=PASSES * len(STRATEGIES) + options.rounds * turns, completed=0)
            ways = model.ways(images[SMALL], _WAY_S, lambda way: say(f"the ceiling: {way}"))
            send = wrk.load if generator else closed_loop.load
            measure = Measure(running, model, best(ways), images, send, options.seconds, say)
            rounds = [measure.round(number) for number in range(options.rounds)]
    arguments = [f"ARGS={shlex.join(sys.argv[1:])}"] if sys.argv[1:] else []
    return Run(
        command=shlex.join(["make", "bench", *arguments]),
        generator=generator or _OWN,
        seconds=options.seconds,
        photo_bytes={name: len(image) for name, image in images.items()},
        ways=ways,
        restless=running.restless,
        rounds=rounds,
    )


def _check_answers(
    running: Subjects, model: Ceiling, images: dict[str, bytes], say: Callable[[str], None]
) -> None:
    """Wait until all are ready, and see that they say the same."""
    for photo, image in images.items():
        labels = model.labels(image)
        for server in running.servers.values():
            say(f"what {server.name} says of {photo}")
            answer = json.loads(server.ready(Form.of(image)))
            # In bfloat16 the first two labels of a close call may change places.
            if answer[0][0] not in labels[: 2 if server.name == WORKER_BFLOAT16 else 1]:
                raise SystemExit(f"{server.name} says {answer} of the photograph of {photo}, not {labels[0]}")


def _figures(run: Run) -> dict[str, object]:
    """For pipes."""
    rounds = [
        dataclasses.asdict(dataclasses.replace(one, cells={}, ways={}))
        | {"ways": {str(way): rate for way, rate in one.ways.items()}}
        | {"cells": [dataclasses.asdict(cell) | dataclasses.asdict(f) for cell, f in one.cells.items()]}
        for one in run.rounds
    ]
    return {
        "machine": machine(),
        "command": run.command,
        "generator": run.generator,
        "seconds": run.seconds,
        "photo_bytes": run.photo_bytes,
        "ways": {str(way): rate for way, rate in run.ways.items()},
        "restless": run.restless,
        "doubts": run.doubts,
        "bars": [
            dataclasses.asdict(bar) | {"met": None if run.doubts else bar.met} for bar in bars(run.rounds)
        ],
        "rounds": rounds,
    }


if __name__ == "__main__":
    main()
