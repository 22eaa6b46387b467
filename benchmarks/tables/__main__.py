"""`python -m benchmarks.tables`: what it costs to serve a table of ten columns, row by row and in bulk.

Writes docs/benchmarks/tables.md. A worker and LitServe run the same session on the same machine, in turns:
single rows as JSON over 32 connections, and Arrow bodies of 4,096 rows, beside the session alone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from benchmarks.load import wrk
from benchmarks.load.form import Form
from benchmarks.report.machine import versions
from benchmarks.report.server_process import Server, server
from benchmarks.tables.model import COLUMNS, rows, save
from benchmarks.tables.page import CONNECTIONS, ROWS, WORKER, Bulk, TableFigures, table_page
from tests.support.canned_server import nobody
from tests.support.environment import users_environment

_ROOT: Final = Path(__file__).parents[2]
# The largest batch, and the seconds to wait for it: none, that of its guide, and two in between.
_LITSERVE: Final = {
    "LitServe, no batching": (1, 0.0),
    "LitServe, 16 in 10 ms": (16, 0.01),
    "LitServe, 32 in 1 ms": (32, 0.001),
    "LitServe, 64 in 5 ms": (64, 0.005),
}


def single_row() -> Form:
    """One row by its column names."""
    row = {name: float(column[0, 0]) for name, column in rows(1).items()}
    return Form(json.dumps(row).encode(), "application/json")


def arrow_rows() -> Form:
    """4,096 rows as an Arrow stream."""
    batch = pa.record_batch([pa.array(column[:, 0]) for column in rows(ROWS).values()], names=list(COLUMNS))
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return Form(sink.getvalue(), "application/vnd.apache.arrow.stream")


@contextlib.contextmanager
def servers(model: Path) -> Iterator[dict[str, Server]]:
    """All of them, ready and paused."""
    with contextlib.ExitStack() as stack:

        def start(name: str, module: str, *arguments: str, port: int) -> Server:
            url = f"http://127.0.0.1:{port}/predict"
            one = stack.enter_context(server(name, url, module, arguments))
            one.ready(single_row())
            one.sleep()
            return one

        port = nobody().port
        fixed = ("--registry", "static:", "--port", str(port), "--log-level", "error")
        found = [start(WORKER, "tfleet", "worker", "--model", str(model), *fixed, port=port)]
        for name, (batch, timeout_s) in _LITSERVE.items():
            port = nobody().port
            arguments = (str(port), str(model), str(batch), str(timeout_s))
            found.append(start(name, "benchmarks.tables.litserve_server", *arguments, port=port))
        yield {one.name: one for one in found}


def measure(model: Path, rounds: int, seconds: float) -> TableFigures:
    """The medians of the rounds."""
    singles: dict[str, list[float]] = {}
    arrow: list[Bulk] = []
    alone: list[Bulk] = []
    with servers(model) as running:
        for number in range(rounds):
            print(f"round {number + 1} of {rounds} ...", file=sys.stderr, flush=True)
            for name, one in running.items():
                one.wake()
                found = wrk.load(one.url, single_row(), CONNECTIONS, seconds)
                if found.failed:
                    raise SystemExit(f"{name}: {found.failed} of {found.answered} requests failed")
                singles.setdefault(name, []).append(found.answered / seconds)
                if name == WORKER:
                    arrow.append(_arrow(one, seconds))
                one.sleep()
            alone.append(_session(model, seconds))
    rates = {name: statistics.median(found) for name, found in singles.items()}
    return TableFigures(rates, _median(arrow), _median(alone))


def _arrow(worker: Server, seconds: float) -> Bulk:
    used_s = worker.cpu_s()
    found = wrk.load(worker.url, arrow_rows(), 2, seconds)
    if found.failed or not found.answered:
        raise SystemExit(f"worker: {found.failed} Arrow bodies failed, {found.answered} were answered")
    cpu_ms = (worker.cpu_s() - used_s) * 1000 / found.answered
    return Bulk(cpu_ms, found.answered * ROWS / seconds)


def _session(model: Path, seconds: float) -> Bulk:
    command = (sys.executable, "-m", "benchmarks.tables.session_alone", str(model), str(ROWS), str(seconds))
    process = subprocess.run(command, capture_output=True, text=True, check=True, env=users_environment())
    return Bulk(*json.loads(process.stdout.splitlines()[-1]))


def _median(found: Sequence[Bulk]) -> Bulk:
    return Bulk(
        statistics.median(one.cpu_ms for one in found), statistics.median(one.rows_per_s for one in found)
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tables", description=(__doc__ or "").split("\n\n")[1]
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds, in which all take turns (default: 3)")
    parser.add_argument("--seconds", type=int, default=5, help="seconds of each load (default: 5)")
    options = parser.parse_args()
    if wrk.found() is None:
        raise SystemExit("this needs wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as folder:
        figures = measure(save(Path(folder)), options.rounds, options.seconds)
    packages = versions(["tensorflow-cpu", "litserve", "orjson", "pyarrow"])
    text = table_page(figures, f"--rounds {options.rounds} --seconds {options.seconds}", packages)
    (_ROOT / "docs/benchmarks/tables.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
