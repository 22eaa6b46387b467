"""`python -m benchmarks.bulk [SECTION...]`: bulk runs, beside what people write without them.

Writes docs/benchmarks/bulk.md and its pictures. Sections that are not named stay as they were measured.
"""

from __future__ import annotations

import argparse
import datetime
import shlex
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.bulk.fleet import measure_fleet
from benchmarks.bulk.fleet_text import fleet_text
from benchmarks.bulk.kills import measure_kills
from benchmarks.bulk.kills_text import kills_text
from benchmarks.bulk.photographs import PHOTOGRAPHS, measure_photographs
from benchmarks.bulk.photographs_text import photographs_text
from benchmarks.bulk.program import ROOT
from benchmarks.bulk.rows import measure_rows
from benchmarks.bulk.rows_plot import plot_rows
from benchmarks.bulk.rows_text import rows_text
from benchmarks.bulk.spark import measure_spark
from benchmarks.bulk.spark_plot import plot_spark
from benchmarks.bulk.spark_text import spark_text
from benchmarks.bulk.text import HEAD, with_section
from benchmarks.report.machine import machine, versions

FOLDER: Final = ROOT / "docs/benchmarks"
_ROWS: Final = 3_000_000
_ROUNDS: Final = 3
_LEAST_ROWS: Final = 10_000  # fewer are a trial, of which no page is written
_LEAST_PHOTOGRAPHS: Final = 100


@dataclass(frozen=True, slots=True)
class Section:
    """A section: what measures and describes it, and the packages whose versions it names."""

    write: Callable[[argparse.Namespace, Path], list[str]]
    packages: tuple[str, ...]


def _rows(options: argparse.Namespace, folder: Path) -> list[str]:
    figures = measure_rows(folder, options.rows, options.rounds)
    if options.rows >= _LEAST_ROWS:
        plot_rows(figures, FOLDER / "bulk-rows.png")
    return rows_text(figures)


def _photographs(options: argparse.Namespace, folder: Path) -> list[str]:
    return photographs_text(measure_photographs(folder, options.photographs, options.rounds))


def _fleet(options: argparse.Namespace, folder: Path) -> list[str]:
    return fleet_text(measure_fleet(folder, options.rows, options.rounds))


def _spark(options: argparse.Namespace, folder: Path) -> list[str]:
    figures = measure_spark(folder, options.rows, options.rounds)
    if options.rows >= _LEAST_ROWS:
        plot_spark(figures, FOLDER / "bulk-spark.png")
    return spark_text(figures)


def _kills(options: argparse.Namespace, folder: Path) -> list[str]:
    return kills_text(measure_kills(folder, options.rows))


_KERAS: Final = ("tensorflow-cpu", "keras", "pyarrow")
_SECTIONS: Final = {
    "rows": Section(_rows, _KERAS),
    "photographs": Section(_photographs, ("tensorflow-cpu", "pillow", "flask", "waitress")),
    "fleet": Section(_fleet, ("tensorflow-cpu", "pyarrow", "aiohttp")),
    "spark": Section(_spark, (*_KERAS, "pyspark", "pandas")),
    "kills": Section(_kills, ("tensorflow-cpu", "pyarrow")),
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bulk", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"of {', '.join(_SECTIONS)} (default: all)"
    )
    parser.add_argument("--rows", type=int, default=_ROWS, help=f"rows of a run (default: {_ROWS:,})")
    parser.add_argument(
        "--photographs",
        type=int,
        default=PHOTOGRAPHS,
        help=f"photographs of a run (default: {PHOTOGRAPHS:,})",
    )
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help=f"rounds (default: {_ROUNDS})")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(_SECTIONS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}: choose of {', '.join(_SECTIONS)}")
    return options


def main() -> None:
    """Measure and write."""
    options = _options()
    path = FOLDER / "bulk.md"
    for name in options.sections or _SECTIONS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        section = _SECTIONS[name]
        with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as folder:
            found = section.write(options, Path(folder))
        lines = [f"`{_command(name, options)}` on {datetime.date.today()}:", f"{machine()};"]
        lines += [f"{versions(section.packages)}.", "", *found]
        print("\n".join(lines))
        if options.rows >= _LEAST_ROWS and options.photographs >= _LEAST_PHOTOGRAPHS:
            page = path.read_text(encoding="utf-8") if path.exists() else HEAD
            path.write_text(with_section(page, name, lines), encoding="utf-8")


def _command(name: str, options: argparse.Namespace) -> str:
    defaults = {"rows": _ROWS, "photographs": PHOTOGRAPHS, "rounds": _ROUNDS}
    given = [f"--{key}={value}" for key, value in vars(options).items() if defaults.get(key, value) != value]
    return shlex.join([".venv/bin/python", "-m", "benchmarks.bulk", name, *given])


if __name__ == "__main__":
    main()
