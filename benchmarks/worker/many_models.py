"""`python -m benchmarks.worker.many_models`: what twenty small models cost in one `tfleet up --models`.

It makes the models, starts fleets of one model and of all of them, with workers that are forked (`--preload`)
and with workers that each import TensorFlow, and writes docs/benchmarks/many-models.md. Memory is PSS: a page
that several processes share counts for each of them in part, so that the sum is what all of them take.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import requests

from benchmarks.report.machine import machine, versions
from benchmarks.report.server_process import Server, server
from benchmarks.report.validity import short, verdict
from benchmarks.tables import model
from tests.support.canned_server import nobody

PAGE = Path(__file__).parents[2] / "docs/benchmarks/many-models.md"
_MODELS: Final = 20
_REQUESTS: Final = 200
_PATIENCE_S: Final = 300.0
_LOOK_S: Final = 0.05
_FASTER_BAR: Final = 2.0
_MEMORY_BAR: Final = 0.6
_PSS: Final = re.compile(r"^Pss: +(\d+) kB", re.MULTILINE)
_MODES: Final = {"forked": "--preload", "each by itself": "--no-preload"}


@dataclasses.dataclass(frozen=True, slots=True)
class Start:
    """A fleet of so many models: seconds until the first and until all were ready, and memory in MiB.

    `workers_mib` are the workers, `total_mib` is everything that `tfleet up` has started, and itself.
    `served_mib` is the same total after each model has answered some hundred requests.
    """

    models: int
    first_s: float
    all_s: float
    workers_mib: list[float]
    total_mib: float
    served_mib: float


@dataclasses.dataclass(frozen=True, slots=True)
class Mode:
    """One way to start workers: a fleet of one model, and one of all."""

    one: Start
    all: Start

    @property
    def worker_mib(self) -> float:
        """The memory of each worker among all."""
        return statistics.median(self.all.workers_mib)

    @property
    def further_mib(self) -> float:
        """What each further model adds to the whole fleet."""
        return (self.all.total_mib - self.one.total_mib) / (self.all.models - self.one.models)

    @property
    def further_served_mib(self) -> float:
        """The same once all have served."""
        return (self.all.served_mib - self.one.served_mib) / (self.all.models - self.one.models)

    @property
    def further_s(self) -> float:
        """How much later each further model is ready."""
        return (self.all.all_s - self.all.first_s) / (self.all.models - 1)


def main() -> None:
    """Start, look and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.worker.many_models", description=(__doc__ or "").split("\n\n", 1)[1]
    )
    parser.add_argument("--models", type=int, default=_MODELS, help=f"how many (default: {_MODELS})")
    parser.add_argument("--json", action="store_true", help="print the figures instead of writing the page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as folder:
        source = model.save(Path(folder) / "made")
        found = {
            name: Mode(*(_start(Path(folder), source, number, flag) for number in (1, options.models)))
            for name, flag in _MODES.items()
        }
    if options.json:
        print(
            json.dumps(
                {"machine": machine()} | {name: dataclasses.asdict(each) for name, each in found.items()}
            )
        )
        return
    PAGE.write_text(_page(found))
    print(_page(found))


def _start(folder: Path, source: Path, number: int, flag: str) -> Start:
    models = folder / f"{number}{flag}"
    names = [f"model-{each}" for each in range(1, number + 1)]
    for name in names:
        shutil.copytree(source, models / name / source.name)
    proxy, registry = nobody().port, nobody().port
    ports = ("--port", str(proxy), "--registry-port", str(registry))
    url = f"http://127.0.0.1:{proxy}"
    began_s = time.monotonic()
    with server(f"a fleet of {number}", url, "tfleet", ("up", "--models", str(models), flag, *ports)) as up:
        first_s = _until_ready(url, 1, began_s)
        all_s = _until_ready(url, number, began_s)
        workers = [pid for pid in _children(up) if b"worker" in _arguments(pid)]
        workers_mib, total_mib = [_mib(pid) for pid in workers], _total_mib(up)
        answers = {_predict(f"{url}/models/{name}/predict") for name in names for _ in range(_REQUESTS)}
        if len(workers) != number or len(answers) != 1:
            raise SystemExit(
                f"this run counts for nothing: {len(workers)} workers gave {len(answers)} answers"
            )
        return Start(number, first_s, all_s, workers_mib, total_mib, _total_mib(up))


def _until_ready(url: str, number: int, began_s: float) -> float:
    """Wait until so many workers are ready; the seconds since."""
    while time.monotonic() < began_s + _PATIENCE_S:
        if _ready(url) >= number:
            return time.monotonic() - began_s
        time.sleep(_LOOK_S)
    raise SystemExit(f"{_ready(url)} of {number} workers were ready after {_PATIENCE_S:g} s")


def _ready(url: str) -> int:
    try:
        rows: list[dict[str, Any]] = requests.get(f"{url}/workers", timeout=10).json()["workers"]
    except requests.ConnectionError:
        return 0
    return sum(row["state"] == "ready" for row in rows)


def _predict(url: str) -> str:
    row = {name: float(column[0, 0]) for name, column in model.rows(1).items()}
    answer = requests.post(url, json=row, timeout=30)
    answer.raise_for_status()
    return answer.text


def _children(up: Server) -> list[int]:
    return list(map(int, Path(f"/proc/{up.pid}/task/{up.pid}/children").read_text().split()))


def _arguments(pid: int) -> Sequence[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def _mib(pid: int) -> float:
    found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _total_mib(up: Server) -> float:
    return sum(map(_mib, [up.pid, *_children(up)]))


def _page(found: dict[str, Mode]) -> str:
    command = " ".join([".venv/bin/python -m benchmarks.worker.many_models", *sys.argv[1:]])
    return "\n".join(
        [
            f"# What {_count(found)} small models cost on one machine",
            "",
            f"`{command}` on {datetime.date.today()}:",
            f"{machine()}; {versions(['tensorflow-cpu'])}.",
            "",
            "One `tfleet up --models` with the embedded registry and one worker for each model, a table of",
            "ten columns and sixteen units. *Forked*: workers come from a process that has imported",
            "TensorFlow (`--preload`, the default). *Each by itself*: every worker imports it",
            "(`--no-preload`). Memory is PSS, in which a page that is shared counts in part. *Served*: after",
            f"{_REQUESTS} requests to each model, all of which had the same answer.",
            "",
            "| | forked | each by itself |",
            "|---|---|---|",
            *_rows(found),
            "",
            *_bars(found),
            "",
        ]
    )


def _count(found: dict[str, Mode]) -> str:
    number = found["forked"].all.models
    return "twenty" if number == _MODELS else str(number)


def _rows(found: dict[str, Mode]) -> Iterator[str]:
    number = found["forked"].all.models
    figures: list[tuple[str, Callable[[Mode], str]]] = [
        ("seconds until the first is ready", lambda mode: f"{mode.all.first_s:.1f}"),
        (f"seconds until all {number} are ready", lambda mode: f"{mode.all.all_s:.1f}"),
        ("seconds for each further one", lambda mode: f"{mode.further_s:.2f}"),
        ("the only worker of a fleet", lambda mode: f"{mode.one.workers_mib[0]:.0f} MiB"),
        (f"each of {number} workers", lambda mode: f"{mode.worker_mib:.0f} MiB"),
        ("the whole fleet of 1", lambda mode: f"{mode.one.total_mib:.0f} MiB"),
        (f"the whole fleet of {number}", lambda mode: f"{mode.all.total_mib:.0f} MiB"),
        ("each further model", lambda mode: f"{mode.further_mib:.0f} MiB"),
        ("each further model, served", lambda mode: f"{mode.further_served_mib:.0f} MiB"),
    ]
    for what, figure in figures:
        yield f"| {what} | {' | '.join(figure(found[name]) for name in _MODES)} |"


def _bars(found: dict[str, Mode]) -> Iterator[str]:
    forked, alone = (found[name] for name in _MODES)
    doubts = short("models", forked.all.models, _MODELS)
    faster, share = alone.all.all_s / forked.all.all_s, forked.further_served_mib / alone.further_served_mib
    yield "| bar | needed | measured | |"
    yield "|---|---|---|---|"
    for what, needed, measured, met in (
        ("all are ready so many times as fast", f"{_FASTER_BAR:g}", f"{faster:.1f}", faster >= _FASTER_BAR),
        (
            "memory of each further model, of what it takes by itself",
            f"{_MEMORY_BAR:.0%}",
            f"{share:.0%}",
            share <= _MEMORY_BAR,
        ),
    ):
        yield f"| {what} | {needed} | {measured} | {verdict('met' if met else '**missed**', doubts)} |"


if __name__ == "__main__":
    main()
