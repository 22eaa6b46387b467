"""`python -m benchmarks.jobs`: what a call in the queue costs, beside a direct one and the usual list.

Writes docs/benchmarks/jobs.md. One worker with a small model answers direct calls, calls with `?queue=1`, and
those of the usual list, in turns. Then two consumers of each queue share images, and those without an answer
are counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from benchmarks.jobs.connection import Connection
from benchmarks.jobs.page import CONNECTIONS, JobFigures, Latencies, Lost, Rates, jobs_page
from benchmarks.jobs.stage import Stage, stage
from benchmarks.jobs.usual_list import SLEEP_S, UsualList
from benchmarks.load import wrk
from benchmarks.load.form import Form
from benchmarks.report.machine import versions
from benchmarks.report.spread import Spread
from benchmarks.tables.model import rows

_ROOT: Final = Path(__file__).parents[2]
_USUAL_CALLS: Final = 20
_IMAGES: Final = 320
_SUBMITTERS: Final = 8
_SETTLE_S: Final = 3.0


def row() -> Form:
    """One row by its column names."""
    columns = {name: float(column[0, 0]) for name, column in rows(1).items()}
    return Form(json.dumps(columns).encode(), "application/json")


def median_ms(call: Callable[[], object], calls: int, rng: random.Random) -> float:
    """The median of calls one after the other, with pauses of any length between them: at rest nobody calls
    just when a poll is due.
    """
    took_s = []
    for _ in range(calls):
        time.sleep(rng.random() * SLEEP_S / 5)
        began_s = time.perf_counter()
        call()
        took_s.append(time.perf_counter() - began_s)
    return statistics.median(took_s) * 1000


def latencies(on: Stage, body: bytes, calls: int, rng: random.Random) -> Latencies:
    """One round."""
    with Connection(on.proxy) as connection:

        def ask(path: str) -> None:
            status, answer = connection.post(path, body)
            if status != 200:
                raise SystemExit(f"{path}: {status} {answer[:300]!r}")

        direct = median_ms(lambda: ask("/predict"), calls, rng)
        queued = median_ms(lambda: ask("/predict?queue=1"), calls, rng)
    with on.usual_consumer():
        usual = UsualList(on.redis)
        usual.call(body)  # its process has started
        return Latencies(direct, queued, median_ms(lambda: usual.call(body), _USUAL_CALLS, rng))


def rates(on: Stage, form: Form, seconds: float, jobs: int) -> Rates:
    """One round: direct calls, calls through the queue, and jobs until the last one has its answer."""
    found = []
    for path in ("/predict", "/predict?queue=1"):
        load = wrk.load(on.proxy + path, form, CONNECTIONS, seconds)
        if load.failed:
            raise SystemExit(f"{path}: {load.failed} of {load.answered} requests failed")
        found.append(load.answered / seconds)
    began_s = time.monotonic()
    locations = submit(on, form.body, jobs)
    lost = unanswered(on, locations)
    if lost:
        raise SystemExit(f"{lost} of {jobs} jobs have no answer")
    return Rates(found[0], found[1], jobs / (time.monotonic() - began_s))


def submit(on: Stage, body: bytes, jobs: int) -> list[str]:
    """Submit so many jobs; returns their locations."""

    def some(number: int) -> list[str]:
        with Connection(on.proxy) as connection:
            answers = [connection.post("/jobs", body) for _ in range(number, jobs, _SUBMITTERS)]
        refused = [status for status, _ in answers if status != 202]
        if refused:
            raise SystemExit(f"POST /jobs: {refused[0]}")
        return [f"/jobs/{json.loads(answer)['id']}" for _, answer in answers]

    with ThreadPoolExecutor(_SUBMITTERS) as pool:
        return [location for part in pool.map(some, range(_SUBMITTERS)) for location in part]


def unanswered(on: Stage, locations: list[str]) -> int:
    """How many jobs have no answer in the end; waits for each."""
    lost = 0
    with Connection(on.proxy) as connection:
        for location in locations:
            status, _ = connection.get(f"{location}?wait=30")
            lost += status != 200
    return lost


def lost_images(on: Stage, body: bytes) -> Lost:
    """Two consumers of each queue share the images."""
    usual = UsualList(on.redis)
    ids = [usual.add(body) for _ in range(_IMAGES)]
    with contextlib.ExitStack() as consumers:
        for _ in range(2):
            consumers.enter_context(on.usual_consumer())
        while usual.waiting():
            time.sleep(SLEEP_S)
        time.sleep(_SETTLE_S)  # what was read before the list was empty
    with on.second_worker():
        ours = unanswered(on, submit(on, body, _IMAGES))
    return Lost(_IMAGES, _IMAGES - usual.answered(ids), ours)


def measure(rounds: int, calls: int, seconds: float, jobs: int) -> JobFigures:
    """All rounds."""
    form, rng = row(), random.Random(1)
    with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as folder, stage(Path(folder), form) as on:
        found, speeds = [], []
        for number in range(rounds):
            print(f"round {number + 1} of {rounds} ...", file=sys.stderr, flush=True)
            found.append(latencies(on, form.body, calls, rng))
            speeds.append(rates(on, form, seconds, jobs))
        lost = lost_images(on, form.body)
    return JobFigures(
        direct_ms=Spread.of([one.direct_ms for one in found]),
        queued_ms=Spread.of([one.queued_ms for one in found]),
        usual_ms=Spread.of([one.usual_ms for one in found]),
        added_ms=Spread.of([one.queued_ms - one.direct_ms for one in found]),
        usual_added_ms=Spread.of([one.usual_ms - one.direct_ms for one in found]),
        rates=Rates(*(statistics.median(column) for column in zip(*map(Rates.columns, speeds), strict=True))),
        lost=lost,
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.jobs", description=(__doc__ or "").split("\n\n")[1]
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds, in which all take turns (default: 3)")
    parser.add_argument("--calls", type=int, default=200, help="calls of each kind in a round (default: 200)")
    parser.add_argument("--seconds", type=int, default=5, help="seconds of each load (default: 5)")
    parser.add_argument("--jobs", type=int, default=2000, help="jobs of each load (default: 2000)")
    options = parser.parse_args()
    if wrk.found() is None:
        raise SystemExit("this needs wrk: apt-get install wrk")
    figures = measure(options.rounds, options.calls, options.seconds, options.jobs)
    asked = (
        f"--rounds {options.rounds} --calls {options.calls} --seconds {options.seconds} --jobs {options.jobs}"
    )
    text = jobs_page(figures, asked, versions(["tensorflow-cpu", "redis"]))
    (_ROOT / "docs/benchmarks/jobs.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
