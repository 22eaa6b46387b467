"""`python -m benchmarks.worker.codecs`: what a table of 4,096 rows and 10 columns costs to read and to write.

Writes docs/benchmarks/codecs.md. Milliseconds of processor time, in each form, all in turns.
"""

from __future__ import annotations

import argparse
import datetime
import io
import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from benchmarks.report.machine import machine, versions
from tfleet.worker.api.protocols.native import DecodedInputs, decode, encode
from tfleet.worker.model.signature import Signature, TensorInfo

ROOT = Path(__file__).parents[2]
ROWS: Final = 4096
NAMES: Final = tuple(f"G{number}" for number in range(1, 11))
OUTPUT: Final = TensorInfo("p", "p:0", "float32", (None, 10))
NAMED: Final = Signature(
    "named", tuple(TensorInfo(name, f"{name}:0", "float32", (None, 1)) for name in sorted(NAMES)), (OUTPUT,)
)
VECTOR: Final = Signature("vector", (TensorInfo("G", "G:0", "float32", (None, 10)),), (OUTPUT,))
JSON: Final = "application/json"
CSV: Final = "text/csv"
ARROW: Final = "application/vnd.apache.arrow.stream"
NPY: Final = "application/x-npy"
NPZ: Final = "application/x-npz"

Task = Callable[[], object]


def _table() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng(7).random((ROWS, len(NAMES)), np.float32)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs)
    return found


def reading(table: Any) -> Mapping[str, Task]:
    """What reads the table."""
    rows = [dict(zip(NAMES, row, strict=True)) for row in orjson.loads(_dumped(table))]
    body, one = orjson.dumps(rows), orjson.dumps(rows[0])
    columns = orjson.dumps({name: [row[name] for row in rows] for name in NAMES})
    csv = "\n".join([",".join(NAMES), *(",".join(map(str, row.values())) for row in rows)]).encode()
    arrow = _arrow({name: np.ascontiguousarray(table[:, index]) for index, name in enumerate(NAMES)})
    npy = io.BytesIO()
    np.save(npy, table)
    return {
        "JSON rows: `json`, unchecked": lambda: _naive(json.loads(body)),
        "JSON rows: `json`, equal keys found": lambda: _naive(json.loads(body, object_pairs_hook=_once)),
        "JSON rows: `orjson`, unchecked": lambda: _naive(orjson.loads(body)),
        "JSON rows: the worker, ten inputs": lambda: decode(body, JSON, NAMED),
        "JSON rows: the worker, a vector with `columns`": lambda: decode(body, JSON, VECTOR, NAMES),
        "JSON columns: the worker": lambda: decode(columns, JSON, NAMED),
        "one JSON row: the worker, ten inputs": lambda: decode(one, JSON, NAMED),
        "CSV: the worker": lambda: decode(csv, CSV, VECTOR, NAMES),
        "Arrow: the worker, ten inputs": lambda: decode(arrow, ARROW, NAMED),
        "Arrow: the worker, a vector with `columns`": lambda: decode(arrow, ARROW, VECTOR, NAMES),
        ".npy: the worker": lambda: decode(npy.getvalue(), NPY, VECTOR),
    }


def writing(table: Any) -> Mapping[str, Task]:
    """What writes a vector of ten float32 for each row."""
    outputs, decoded = {"p": table}, DecodedInputs({}, ROWS)
    one, one_decoded = {"p": table[:1]}, DecodedInputs({}, 1, one_row=True)
    with_nan = table.copy()
    with_nan[5, 5] = np.nan
    return {
        "JSON: `json` of `tolist()`, with digits of float64": lambda: json.dumps(table.tolist()),
        "JSON: `json`, shortest digits": lambda: json.dumps(
            [[float(str(value)) for value in row] for row in table]
        ),
        "JSON: `orjson` of `tolist()`, with digits of float64": lambda: orjson.dumps(table.tolist()),
        "JSON: the worker": lambda: encode(outputs, decoded, JSON, VECTOR),
        "JSON with a NaN: the worker": lambda: encode({"p": with_nan}, decoded, JSON, VECTOR),
        "one JSON row: the worker": lambda: encode(one, one_decoded, JSON, VECTOR),
        "CSV: the worker": lambda: encode(outputs, decoded, CSV, VECTOR),
        "Arrow: the worker": lambda: encode(outputs, decoded, ARROW, VECTOR),
        ".npy: the worker": lambda: encode(outputs, decoded, NPY, VECTOR),
        ".npz: the worker": lambda: encode(outputs, decoded, NPZ, VECTOR),
    }


def _naive(rows: list[dict[str, float]]) -> object:
    return np.array([[row[name] for name in NAMES] for row in rows], np.float32)


def _dumped(table: Any) -> bytes:
    return orjson.dumps(table, option=orjson.OPT_SERIALIZE_NUMPY)


def _arrow(columns: Mapping[str, Any]) -> bytes:
    batch = pa.record_batch([pa.array(column) for column in columns.values()], names=list(columns))
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.worker.codecs", description=(__doc__ or "").split("\n\n")[1]
    )
    parser.add_argument("--rounds", type=int, default=50, help="how often each is measured (default: 50)")
    rounds = parser.parse_args().rounds
    read, written = reading(_table()), writing(_table())
    page = _page(_least_ms(read, rounds), _least_ms(written, rounds), rounds)
    (ROOT / "docs/benchmarks/codecs.md").write_text(page)
    print(page)


def _least_ms(tasks: Mapping[str, Task], rounds: int) -> dict[str, float]:
    """The least of some rounds, in which all take turns."""
    least = dict.fromkeys(tasks, float("inf"))
    for _, name in itertools.product(range(rounds), tasks):
        times = 100 if name.startswith("one ") else 1  # too short for the clock
        began_s = time.process_time()
        for _ in range(times):
            tasks[name]()
        least[name] = min(least[name], (time.process_time() - began_s) * 1000 / times)
    print(f"{len(tasks)} tasks, {rounds} rounds", file=sys.stderr, flush=True)
    return least


def _page(read_ms: Mapping[str, float], written_ms: Mapping[str, float], rounds: int) -> str:
    command = f".venv/bin/python -m benchmarks.worker.codecs --rounds {rounds}"
    lines = [
        "# What it costs to read and write a table",
        "",
        f"`{command}` on {datetime.date.today()}:",
        f"{machine()};",
        f"{versions(['numpy', 'orjson', 'pyarrow'])}.",
        "",
        f"Milliseconds of processor time, least of {rounds} rounds in turns; {ROWS:,} rows of 10 float32.",
        "The worker's figures include all checks: names, equal keys, ranges, shapes, limits.",
        "",
        *_lines("read", read_ms),
        "",
        *_lines("write", written_ms),
        "",
        "What a large tensor costs by each protocol is in [protocols](protocols.md).",
        "",
        "`unchecked` takes the last of two equal keys, true as 1 and numbers out of range as infinity.",
        "",
    ]
    return "\n".join(lines)


def _lines(what: str, least_ms: Mapping[str, float]) -> list[str]:
    return [f"| {what} | ms |", "|---|---|", *(f"| {name} | {ms:.3f} |" for name, ms in least_ms.items())]


if __name__ == "__main__":
    main()
