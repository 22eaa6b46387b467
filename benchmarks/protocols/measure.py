"""Measures requests of several protocols in turns, at one worker."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.load import closed_loop, wrk
from benchmarks.load.enough import enough
from benchmarks.load.form import Form, post
from benchmarks.protocols import bodies, model
from benchmarks.protocols.bodies import Request, Requests
from benchmarks.report.figures import Figures
from benchmarks.report.machine import busy
from benchmarks.report.server_process import Server, server
from benchmarks.report.spread import Spread
from benchmarks.tables.model import save as save_table
from tests.support.canned_server import nobody

CONNECTIONS: Final = 32
_QUEUE_BYTES: Final = 2**30
_LOOK_S: Final = 0.5

Load = Callable[[str, Form, int, float], Figures]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request of one round costs: wall time of the loaded worker, and its processor time."""

    wall_ms: float
    cpu_ms: float


Costs = Mapping[str, Sequence[Cost]]
"""The costs of all rounds, by protocol."""


def measured(rounds: int, seconds: float) -> tuple[Costs, Costs, Spread]:
    """The costs of an image's pixels, those of a row of a table, and how many CPUs others used meanwhile."""
    load = wrk.load if wrk.found() else closed_loop.load
    strangers: list[float] = []
    found = []
    for save, requests in ((model.save, bodies.of_pixels()), (save_table, bodies.of_row())):
        with (
            tempfile.TemporaryDirectory(prefix="tfleet-bench-") as folder,
            _worker(save(Path(folder))) as one,
        ):
            found.append(_costs(Turns(one, load, seconds), requests, rounds, strangers))
    pixels, row = found
    return pixels, row, Spread.of(strangers)


@dataclass(frozen=True, slots=True)
class Turns:
    """Loads the worker with one request after the other."""

    worker: Server
    load: Load
    seconds: float

    def __call__(self, name: str, request: Request) -> Cost:
        """What the request costs."""
        url, used_s = self.worker.url + request.path, self.worker.cpu_s()
        answered = 0

        def load(seconds: float) -> Figures:
            nonlocal answered
            found = self.load(url, request.form, CONNECTIONS, seconds)
            answered += found.answered
            if found.failed:
                said = post(url, request.form)
                raise SystemExit(f"{name}: {found.failed} of {found.answered} requests failed: {said}")
            return found

        found = enough(load, self.seconds)
        self.worker.settle()
        return Cost(1000 / found.per_second, (self.worker.cpu_s() - used_s) * 1000 / answered)


def _costs(turns: Turns, requests: Requests, rounds: int, strangers: list[float]) -> Costs:
    costs: dict[str, list[Cost]] = {name: [] for name in requests}
    for name, request in requests.items():
        turns(name, request)  # the first answers of each kind do not count
    for number in range(rounds):
        print(f"round {number + 1} of {rounds} ...", file=sys.stderr, flush=True)
        strangers.append(busy(_LOOK_S))
        for name in reversed([*requests]) if number % 2 else requests:
            costs[name].append(turns(name, requests[name]))
    return costs


@contextlib.contextmanager
def _worker(path: Path) -> Iterator[Server]:
    port = nobody().port
    # On a busy machine a turn may begin while the worker still has bodies of the last one.
    options = ("--log-level", "error", "--max-queue-bytes", str(_QUEUE_BYTES))
    arguments = ("worker", "--model", str(path), "--registry", "static:", "--port", str(port), *options)
    with server("worker", f"http://127.0.0.1:{port}/", "tfleet", arguments) as one:
        one.says_ready()
        yield one
