"""`python -m benchmarks.containers.images`: the size of the images and the start of a fleet of containers.

It builds both images, changes nothing and builds them again, starts a fleet of two workers with the default
model three times, and writes docs/benchmarks/images.md. It wants a Docker engine and a quiet machine.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import docker
from docker.models.containers import Container

from benchmarks.report.machine import machine
from tests.support.compose_project import Project, project

ROOT: Final = Path(__file__).parents[2]
BASE: Final = "python:3.11-slim-bookworm"
IMAGES: Final = {"PROXY_IMAGE": "tfleet-proxy:measured", "WORKER_IMAGE": "tfleet-worker:measured"}
WORKERS: Final = 2
_MB: Final = 1_000_000
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Start:
    """One fleet's times, in seconds: `up --wait`, all workers ready as the proxy sees it, `down`."""

    up_s: float
    ready_s: float
    down_s: float
    resident_mib: dict[str, float]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.containers.images", description=(__doc__ or "").split("\n\n")[1]
    )
    parser.add_argument("--rounds", type=int, default=3, help="fleets to start (default: 3)")
    options = parser.parse_args()
    engine = docker.from_env()
    try:
        with project(engine, **IMAGES) as building:
            _timed(lambda: building.compose("build", timeout_s=900))
            again_s = _timed(lambda: building.compose("build", timeout_s=900))
        starts = []
        for number in range(options.rounds):
            print(f"fleet {number + 1} of {options.rounds} ...", file=sys.stderr, flush=True)
            starts.append(_start(engine))
        table = _page(engine, again_s, starts)
    finally:
        for name in IMAGES.values():
            engine.images.remove(name)
        engine.close()
    (ROOT / "docs/benchmarks/images.md").write_text(table)
    print(table)


def _start(engine: docker.DockerClient) -> Start:
    with project(engine, **IMAGES) as fleet:
        began_s = time.monotonic()
        fleet.up(workers=WORKERS)
        up_s = time.monotonic() - began_s
        fleet.settled(WORKERS)
        ready_s = _ready_s(fleet)
        services = ("consul", "proxy", "worker")
        resident = {name: _resident_mib(fleet.containers(name)[0]) for name in services}
        down_s = _timed(lambda: fleet.compose("down"))
    return Start(up_s, ready_s, down_s, resident)


def _ready_s(fleet: Project) -> float:
    """From the first worker container's start to the last worker's `worker ready`, by the log's own clock."""
    workers = fleet.containers("worker")
    begun = min(_time(each.attrs["State"]["StartedAt"][:26] + "Z") for each in workers)
    ready = [_time(line["timestamp"]) for line in fleet.lines("worker") if line["event"] == "worker ready"]
    return (max(ready) - begun).total_seconds()


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def _resident_mib(container: Container) -> float:
    used = container.stats(stream=False)["memory_stats"]
    held = used["stats"].get("total_inactive_file", used["stats"].get("inactive_file", 0))
    return float(used["usage"] - held) / _MIB


def _timed(call: Callable[[], object]) -> float:
    began_s = time.monotonic()
    call()
    return time.monotonic() - began_s


def _page(engine: docker.DockerClient, again_s: float, starts: list[Start]) -> str:
    base = engine.images.get(BASE).attrs["Size"]
    rows = []
    for name, variable in (("proxy", "PROXY_IMAGE"), ("worker", "WORKER_IMAGE")):
        image = engine.images.get(IMAGES[variable])
        over = (image.attrs["Size"] - base) / _MB
        code = next(layer["Size"] for layer in image.history() if layer["Size"] > 100) / _MB
        held = max(start.resident_mib[name] for start in starts)
        rows.append(f"| {name} | {over:,.0f} | {code:.1f} | {held:.0f} |")
    consul = max(start.resident_mib["consul"] for start in starts)
    return "\n".join(
        [
            "# Images and how soon they are at work",
            "",
            f"`python -m benchmarks.containers.images --rounds {len(starts)}` on {datetime.date.today()}: "
            f"{machine()},",
            f"Docker {engine.version()['Version']}. `{BASE}` itself has {base / _MB:,.0f} MB here.",
            "",
            "| image | MB over its base | of these the code's layer | MiB of memory at rest, at most |",
            "|---|---|---|---|",
            *rows,
            f"| consul (not ours) | | | {consul:.0f} |",
            "",
            f"Building both again when nothing has changed takes {again_s:.1f} s.",
            "",
            f"Seconds of a fleet with {WORKERS} workers of one CPU each and the default model:",
            "",
            "| | least | most |",
            "|---|---|---|",
            _row("`docker compose up --wait`", [start.up_s for start in starts]),
            _row("of these, from the first worker's start until all are ready", [s.ready_s for s in starts]),
            _row("`docker compose down`", [start.down_s for start in starts]),
            "",
            "Before the workers start, Consul has to be healthy; `--wait` then sees that they are by their",
            "next health check, up to five seconds later.",
            "",
        ]
    )


def _row(what: str, seconds: list[float]) -> str:
    return f"| {what} | {min(seconds):.1f} | {max(seconds):.1f} |"


if __name__ == "__main__":
    main()
