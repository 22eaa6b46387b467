"""`python -m benchmarks.bulk`: how fast are rows scored in bulk, beside what people write with Keras?

Writes docs/benchmarks/bulk.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Final

from benchmarks.bulk.page import BulkFigures, bulk_page
from benchmarks.report.machine import versions
from tests.support.environment import users_environment

_ROOT: Final = Path(__file__).parents[2]
_FORMS: Final = ("csv", "parquet")
_ROWS: Final = 3_000_000
_ROUNDS: Final = 3
_ROW_BY_ROW: Final = 300
_SOME: Final = 10_000
# What the system says of a child's memory includes that of the process that forked it: a small one watches.
_WATCH: Final = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(done.returncode)
"""


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a Python program with these arguments."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        cwd=_ROOT,
        env=users_environment(),
    )


def ours(folder: Path, form: str, number: int) -> tuple[float, float]:
    """Rows a second of `tfleet score`, and its most memory in MB."""
    out = folder / f"{form}-{number}"
    program = (sys.executable, "-m", "tfleet", "score")
    done = run(
        "-c", _WATCH, *program, folder / f"rows.{form}", "-o", out, "--model", folder / "binary", "--json"
    )
    return json.loads(done.stdout)["rows_per_s"], int(done.stderr) / 1000


def keras(folder: Path, form: str, rows: int, *row_by_row: int) -> float:
    """Rows a second of Keras."""
    files = (folder / "model.keras", folder / f"rows.{form}", folder / "keras.parquet")
    done = run("-m", "benchmarks.bulk.keras_predict", *files, *row_by_row)
    return (row_by_row[0] if row_by_row else rows) / float(done.stdout)


def measure(folder: Path, rows: int, rounds: int) -> BulkFigures:
    """All of them in turns."""
    run("-m", "benchmarks.bulk.make", folder, rows)
    of_ours: dict[str, list[float]] = defaultdict(list)
    of_keras: dict[str, list[float]] = defaultdict(list)
    memory: dict[str, float] = defaultdict(float)
    for number in range(rounds):
        for form in _FORMS:
            rate, used_mb = ours(folder, form, number)
            of_ours[form].append(rate)
            memory[form] = max(memory[form], used_mb)
            of_keras[form].append(keras(folder, form, rows))
    return BulkFigures(of_ours, of_keras, keras(folder, "parquet", rows, _ROW_BY_ROW), memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=_ROWS)
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), asked.rows, asked.rounds)
    options = "" if asked.rows == _ROWS else f" --rows {asked.rows}"
    options += "" if asked.rounds == _ROUNDS else f" --rounds {asked.rounds}"
    page = bulk_page(figures, asked.rows, options, versions(("tensorflow-cpu", "keras", "pyarrow")))
    sys.stdout.write(page)
    if asked.rows >= _SOME:
        (_ROOT / "docs" / "benchmarks" / "bulk.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
