"""`python -m benchmarks.balancing.pick`: what the choice of a worker costs, with 2 workers and with 10,000.

It also measures what an update of the worker pool costs, which is rare, and simulates the load of a new
worker. It writes docs/benchmarks/pick.md. Quote the ratios: machines differ.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import logging
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from benchmarks.balancing.pool_update_cost import update_ms
from benchmarks.balancing.slow_start import ANSWER_S, RATE_PER_S, STEP_S, WORKERS, Step, simulate
from benchmarks.report.machine import machine
from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.proxy.balancing.member import Probe
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.settings import BALANCES, SLOW_START_S, Balance

ROOT = Path(__file__).parents[2]
FEW, MANY = 2, 10_000
NOW_S = 1000.0
_PICKS = 11_000  # twice round, also where half of 10,000 are passed over nine times in ten


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.balancing.pick", description=(__doc__ or "").split("\n\n")[1]
    )
    parser.add_argument(
        "--rounds", type=int, default=50, help="each figure is the best of so many (default: 50)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures instead of writing the table")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    print("measuring, about half a minute ...", file=sys.stderr, flush=True)
    picks = _picks(options.rounds)
    events = update_ms({size: _fleet("round-robin", size) for size in (FEW, MANY)}, options.rounds)
    steps = _new_worker_steps()
    if options.json:
        shares = {name: [dataclasses.asdict(step) for step in run] for name, run in steps.items()}
        print(json.dumps({"machine": machine(), "pick_us": picks, "event_ms": events, "new_worker": shares}))
        return
    table = _table(picks, events, steps, options.rounds)
    (ROOT / "docs/benchmarks/pick.md").write_text(table)
    print(table)


def _fleet(balance: Balance, warm: int, new: int = 0) -> WorkerTable:
    """So many workers that have been ready for long, and so many that have just become ready."""
    now_s = 0.0
    workers = WorkerTable(balance, clock=lambda: now_s, rng=random.Random(1))
    instances = [Instance(f"w{number}", Address("127.0.0.1", 1)) for number in range(warm + new)]
    for came in (instances[:warm], instances):
        workers.apply_instances(came)
        workers.record_probes({instance.id: (Probe.READY, "") for instance in came})
        now_s = NOW_S
    return workers


def _picks(rounds: int) -> dict[str, dict[int, float]]:
    """Microseconds of a pick by what is picked from and how many there are."""
    figures: dict[str, dict[int, float]] = {}
    for balance in BALANCES:
        even = {size: _fleet(balance, size) for size in (FEW, MANY)}
        uneven = {size: _fleet(balance, size // 2, size // 2) for size in (FEW, MANY)}
        figures[balance] = _best({size: workers.pick for size, workers in even.items()}, rounds)
        figures[f"{balance}, half of them new"] = _best(
            {size: workers.pick for size, workers in uneven.items()}, rounds
        )
        figures[f"{balance}, one was tried"] = _best(
            {size: _retry(workers) for size, workers in even.items()}, rounds
        )
    return figures


def _retry(workers: WorkerTable) -> Callable[[], object]:
    return lambda: workers.pick({"w1"})


def _best(calls: dict[int, Callable[[], object]], rounds: int) -> dict[int, float]:
    """Microseconds of a call, the best of some rounds. The sizes take turns, on the same busy machine."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for size, call in calls.items():
            began_s = time.perf_counter()
            for _ in range(_PICKS):
                call()
            best[size] = min(best[size], (time.perf_counter() - began_s) / _PICKS * 1e6)
    return best


def _new_worker_steps() -> dict[str, list[Step]]:
    found = {balance: simulate(balance) for balance in BALANCES}
    return found | {"least-request without slow start": simulate("least-request", 0.0)}


def _table(
    picks: dict[str, dict[int, float]],
    events: dict[str, dict[int, float]],
    steps: dict[str, list[Step]],
    rounds: int,
) -> str:
    command = f".venv/bin/python -m benchmarks.balancing.pick --rounds {rounds}"
    lines = [
        "# What the choice of a worker costs",
        "",
        f"`{command}` on {datetime.date.today()}: {machine()}.",
        "",
        f"A pick, in microseconds, the best of {rounds} rounds of {_PICKS:,}:",
        "",
        f"| | {FEW} workers | {MANY:,} workers | ratio |",
        "|---|---|---|---|",
    ]
    for name, run in picks.items():
        lines.append(f"| {name} | {run[FEW]:.2f} | {run[MANY]:.2f} | {run[MANY] / run[FEW]:.2f} |")
    lines += [
        "",
        "An update of a worker makes a new pool, so it costs more where there are more workers. It is rare",
        f"and does not come with each request. Milliseconds, the best of {rounds}:",
        "",
        f"| | {FEW} workers | {MANY:,} workers |",
        "|---|---|---|",
    ]
    for name, run in events.items():
        lines.append(f"| {name} | {run[FEW]:.3f} | {run[MANY]:.2f} |")
    lines += [
        "",
        "# What a new worker gets",
        "",
        f"{WORKERS} workers, each of which answers one request at a time in {ANSWER_S * 1000:.0f} ms, have",
        f"{RATE_PER_S:,} requests a second when one more comes; its slow start takes {SLOW_START_S:g} s. It",
        "is the proxy's own fleet on a simulated clock. *Share* is what the new worker got against the mean",
        "of the others, *queue* the most that it had in flight.",
        "",
        "| seconds | " + " | ".join(f"{name}: share | queue" for name in steps) + " |",
        "|---" * (1 + 2 * len(steps)) + "|",
    ]
    for runs in zip(*steps.values(), strict=True):
        found = " | ".join(f"{one.share:.2f} | {one.queue}" for one in runs)
        lines.append(f"| {runs[0].from_s:.0f} to {runs[0].from_s + STEP_S:.0f} | {found} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
