"""`python -m benchmarks.rollout`: whether rollouts lose a request, keep their shares and survive faults.

It rolls versions out, promotes them and goes back under a steady load, with both registries, and kills
workers, proxies and registries in the middle. It writes docs/benchmarks/rollouts.md. Its exit code is 1 if
something does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.report.machine import busy, machine
from benchmarks.rollout import other_scenarios, plan_scenarios
from benchmarks.rollout.page import Row, rollout_json, rollout_page, rollout_table, verdict
from benchmarks.rollout.plan_scenarios import RATE
from benchmarks.rollout.recorder import Recorder
from benchmarks.rollout.registries import REGISTRIES
from benchmarks.rollout.stage import Stage
from tests.support.fleet_processes import Fleet
from tests.support.forked_workers import forked_workers

PAGE: Final = Path(__file__).parents[2] / "docs/benchmarks/rollouts.md"
_REQUESTS: Final = 5000
_FEWEST: Final = 100
_LOOK_S: Final = 3.0
_LIMIT_S: Final = 300.0
"""How long a scenario may take beyond the time in which its requests are sent."""
_MOST_STAGES: Final = 5

SCENARIOS: Final[dict[str, Callable[[str, Path, Recorder], Awaitable[None]]]] = {
    "rollout": plan_scenarios.rollout,
    "crash": plan_scenarios.crash,
    "lost-worker": plan_scenarios.lost_worker,
    "lost-proxy": plan_scenarios.lost_proxy,
    "lost-registry": plan_scenarios.lost_registry,
    "second-canary": plan_scenarios.second_canary,
    "sessions": plan_scenarios.sessions,
    "p2p": other_scenarios.p2p,
    "two-models": plan_scenarios.two_models,
    "watched": other_scenarios.watched,
}


def main() -> None:
    """Send, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rollout", description=(__doc__ or "").split("\n\n", 1)[1]
    )
    parser.add_argument(
        "--requests",
        type=int,
        default=_REQUESTS,
        help=f"how many in each stage of the rollout, half as many in others (default: {_REQUESTS})",
    )
    parser.add_argument("--registry", choices=REGISTRIES, help="only with this one (default: both)")
    parser.add_argument("--only", choices=SCENARIOS, help="only this scenario (default: all)")
    parser.add_argument("--json", action="store_true", help="print the figures instead of writing the page")
    options = parser.parse_args()
    if options.requests < _FEWEST:
        parser.error(f"--requests {options.requests}: a share needs at least {_FEWEST}")
    strangers = busy(_LOOK_S)
    kinds = [options.registry] if options.registry else list(REGISTRIES)
    names = [options.only] if options.only else list(SCENARIOS)
    rows = _measured(kinds, names, options.requests)
    if options.json:
        print(json.dumps({"machine": machine(), "strangers": strangers, "stages": rollout_json(rows)}))
    else:
        Console().print(rollout_table(rows))
        print(verdict(rows))
        # A part of the scenarios is no page.
        if len(kinds) == len(REGISTRIES) and len(names) == len(SCENARIOS):
            command = " ".join([".venv/bin/python -m benchmarks.rollout", *sys.argv[1:]])
            PAGE.write_text(rollout_page(rows, command=command, rate=RATE, strangers=strangers))
    sys.exit(any(row.stage.problem for row in rows))


def _measured(kinds: list[str], names: list[str], requests: int) -> list[Row]:
    rows: list[Row] = []
    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed}/{task.total} {task.description}"),
        TimeElapsedColumn(),
    )
    with (
        forked_workers() as Fleet.forked_workers,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        task = progress.add_task("starting", total=len(kinds) * len(names))
        for kind in kinds:
            for name in names:

                def tell(stage: str, kind: str = kind, name: str = name) -> None:
                    progress.update(task, description=f"{kind}, {name}: {stage}")

                record = Recorder(requests, tell)
                with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as folder:
                    _run(name, kind, Path(folder), record)
                rows += [Row(kind, stage) for stage in record.stages]
                progress.advance(task)
    return rows


def _run(name: str, kind: str, folder: Path, record: Recorder) -> None:
    try:
        asyncio.run(_limited(SCENARIOS[name](kind, folder, record), record.requests))
    except Exception as error:
        ended = f"it ended early: {' '.join(repr(error).split())}"
        record.stages.append(Stage(name, 0, 0, {}, 0.0, broken=ended))


async def _limited(scenario: Awaitable[None], requests: int) -> None:
    async with asyncio.timeout(_LIMIT_S + _MOST_STAGES * requests / RATE * 2):
        await scenario


if __name__ == "__main__":
    main()
