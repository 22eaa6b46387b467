"""Measure photographs in bulk: `tfleet score` beside a worker under the load of a client."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.bulk.circumstances import Circumstances
from benchmarks.bulk.make_photos import make_photos
from benchmarks.bulk.program import Scored, score
from benchmarks.load import wrk
from benchmarks.load.form import Form, get
from benchmarks.report.server_process import Server, server
from benchmarks.report.spread import Spread
from tests.support.canned_server import nobody
from tfleet.worker.model.find import DEFAULT_MODEL

PHOTOGRAPHS: Final = 2000
CONNECTIONS: Final = 32
LOAD_S: Final = 10
_MODEL: Final = ("--model", DEFAULT_MODEL)


@dataclass(frozen=True, slots=True)
class Load:
    """Images a second of a worker, and CPU seconds for each of them."""

    per_second: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class PhotoRound:
    """A run of `tfleet score` between two loads of the worker."""

    before: Load
    ours: Scored
    after: Load

    @property
    def worker_per_second(self) -> float:
        """The mean of both loads."""
        return (self.before.per_second + self.after.per_second) / 2

    @property
    def worker_cpu_s(self) -> float:
        """The mean of both loads."""
        return (self.before.cpu_s + self.after.cpu_s) / 2


@dataclass(frozen=True, slots=True)
class PhotoFigures:
    """All rounds."""

    photographs: int
    mean_bytes: float
    start_cpu_s: float
    rounds: list[PhotoRound]
    around: Circumstances

    def cpu_s(self, one: PhotoRound) -> float:
        """CPU seconds of ours for an image."""
        return (one.ours.process.cpu_s - self.start_cpu_s) / self.photographs

    @property
    def ratio(self) -> Spread:
        """Images a second of ours over the worker's."""
        return Spread.of([one.ours.per_second / one.worker_per_second for one in self.rounds])

    @property
    def cpu_ratio(self) -> Spread:
        """CPU seconds of the worker over ours."""
        return Spread.of([one.worker_cpu_s / self.cpu_s(one) for one in self.rounds])


def measure_photographs(folder: Path, photographs: int, rounds: int) -> PhotoFigures:
    """Make the photographs in the folder, and classify them in turns."""
    if wrk.found() is None:
        raise SystemExit("this needs wrk: apt-get install wrk")
    around = Circumstances()
    names = make_photos(folder / "photographs", photographs)
    forms = [Form.of(name.read_bytes()) for name in names]
    start = score(names[0], "-o", folder / "one", *_MODEL)
    port = nobody().port
    options = ("--registry", "static:", "--port", str(port), "--precision", "float32", "--log-level", "error")
    found = []
    with server("worker", f"http://127.0.0.1:{port}/", "tfleet", ["worker", *options]) as worker:
        worker.ready(forms[0])
        for number in range(rounds):
            worker.settle()
            around.look()
            before = worker_load(worker, forms)
            worker.sleep()
            ours = score(folder / "photographs", "-o", folder / str(number), *_MODEL)
            worker.wake()
            found.append(PhotoRound(before, ours, worker_load(worker, forms)))
    mean = sum(name.stat().st_size for name in names) / len(names)
    return PhotoFigures(photographs, mean, start.process.cpu_s, found, around)


def worker_load(worker: Server, forms: list[Form]) -> Load:
    """Send these images for some seconds, and count."""
    used_s, classified = worker.cpu_s(), _classified(worker)
    found = wrk.load_many(worker.url, forms, CONNECTIONS, LOAD_S)
    worker.settle()
    if found.failed or not found.per_second:
        raise SystemExit(f"worker: {found.failed} of {found.answered} requests failed")
    # Not by the answers: when the load ends, the worker has some images to do.
    return Load(found.per_second, (worker.cpu_s() - used_s) / (_classified(worker) - classified))


def _classified(worker: Server) -> int:
    """The images that it has run."""
    _, body = get(f"{worker.url}metrics")
    found = re.search(r'^tfleet_worker_stage_seconds_count{stage="infer"} (\S+)', body.decode(), re.MULTILINE)
    if found is None:
        raise SystemExit("the worker's metrics have no count of runs")
    return int(float(found[1]))
