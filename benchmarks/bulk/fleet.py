"""Measure `tfleet score --fleet` beside `--model`, on one machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.bulk.circumstances import Circumstances
from benchmarks.bulk.make_photos import make_photos
from benchmarks.bulk.program import Scored, program, score
from benchmarks.report.server_process import server
from tests.support.canned_server import nobody
from tests.support.fleet_processes import registry_process
from tfleet.worker.model.find import DEFAULT_MODEL

PHOTOGRAPHS: Final = 400


@dataclass(frozen=True, slots=True)
class FleetFigures:
    """Runs of each way, of rows and of photographs."""

    rows: int
    of_rows: dict[str, list[Scored]]
    of_photographs: dict[str, list[Scored]]
    around: Circumstances


def measure_fleet(folder: Path, rows: int, rounds: int) -> FleetFigures:
    """Score the same with a model in the process and with a worker, in turns."""
    around = Circumstances()
    program("benchmarks.bulk.make", (folder, rows))
    make_photos(folder / "photographs", PHOTOGRAPHS)
    of_rows = _turns(folder, "rows.parquet", folder / "binary", rounds, around)
    of_photographs = _turns(folder, "photographs", DEFAULT_MODEL, rounds, around)
    return FleetFigures(rows, of_rows, of_photographs, around)


def _turns(
    folder: Path, what: str, model: Path, rounds: int, around: Circumstances
) -> dict[str, list[Scored]]:
    found: dict[str, list[Scored]] = {"--model": [], "--fleet": []}
    with _fleet(model) as url:
        for number in range(rounds):
            around.look()
            for way, named in (("--model", model), ("--fleet", url)):
                out = folder / f"{what}{way}-{number}"
                found[way].append(score(folder / what, "-o", out, way, named))
    return found


@contextlib.contextmanager
def _fleet(model: Path) -> Iterator[str]:
    """The address of a proxy in p2p mode with one worker that serves the model."""
    # Not a static list: from that a proxy does not know which models its workers have.
    registry, worker, proxy = nobody(), nobody(), nobody()
    fixed = ("--registry", f"consul://{registry}", "--log-level", "error")
    of_worker = ["worker", "--port", str(worker.port), "--model", str(model), "--precision", "float32"]
    of_proxy = ["proxy", "--port", str(proxy.port), "--mode", "p2p"]
    with (
        registry_process(registry),
        server("worker", f"{worker.url}/", "tfleet", [*of_worker, *fixed]) as one,
        server("proxy", f"{proxy.url}/", "tfleet", [*of_proxy, *fixed]) as other,
    ):
        one.says_ready()
        other.says_ready()
        yield proxy.url
