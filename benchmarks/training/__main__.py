"""`python -m benchmarks.training [SECTION...]`: retraining, beside scikit-learn, Keras and a worker.

Writes docs/benchmarks/training.md and its picture. Sections that are not named stay as they were measured.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import sys
from pathlib import Path
from typing import Final

from benchmarks.bulk.program import ROOT
from benchmarks.bulk.text import with_section
from benchmarks.report.machine import machine, versions
from benchmarks.training import sections
from benchmarks.training.compare import Comparison
from benchmarks.training.fine_tune import fine_tune
from benchmarks.training.plot import plot
from benchmarks.training.sections import Found
from benchmarks.training.speed import PHOTOGRAPHS, speed

FOLDER: Final = ROOT / "docs/benchmarks"
_CACHE: Final = Path.home() / ".cache/tfleet-bench"
_ROUNDS: Final = 3
_PACKAGES: Final = ("tensorflow-cpu", "keras", "scikit-learn", "numpy")
_COMPARED: Final = {"digits": sections.digits, "food": sections.food, "emoji": sections.emoji}
_TITLES: Final = {
    "digits": "Digits",
    "food": "Food photographs",
    "emoji": "Emoji of two artists",
    "thousand": "A thousand classes",
    "fine-tune": "The network trained further",
    "speed": "Time for 1,000 photographs",
}
_HEAD: Final = """# Retrain

`tfleet retrain` beside what people use instead. Each section is measured by a command of its own, and may be
from another day or machine: compare figures within a section only. `.venv/bin/python -m benchmarks.training`
measures all of them. It downloads the emoji and the photographs of food, 140 MB, once; they are no part of
the repository.

![what three heads know, and how long they take](training.png)
"""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"of {', '.join(_TITLES)} (default: all)"
    )
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help=f"of speed (default: {_ROUNDS})")
    parser.add_argument(
        "--photographs", type=int, default=PHOTOGRAPHS, help=f"of speed (default: {PHOTOGRAPHS:,})"
    )
    parser.add_argument("--cache", type=Path, default=_CACHE, help="for downloads and vectors")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(_TITLES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}: choose of {', '.join(_TITLES)}")
    return options


def _measured(name: str, options: argparse.Namespace) -> Found:
    if name == "speed":
        return Found(speed(options.photographs, options.rounds))
    if name == "fine-tune":
        return Found(fine_tune(options.cache))
    measure = _COMPARED.get(name, sections.thousand)
    return measure(options.cache)


def _draw(name: str, comparison: Comparison, cache: Path) -> None:
    """The picture with this task, and with those that were measured before it."""
    kept = cache / "heads.json"
    found = json.loads(kept.read_text()) if kept.exists() else {}
    heads = {
        "tfleet": comparison.ours,
        "scikit-learn": comparison.scikit,
        "Keras Dense": comparison.keras,
    }
    found[name] = {head: (each.accuracy(comparison.task), each.seconds) for head, each in heads.items()}
    kept.write_text(json.dumps(found))
    plot({name: found[name] for name in _COMPARED if name in found}, FOLDER / "training.png")


def main() -> None:
    """Measure and write."""
    options = _options()
    options.cache.mkdir(parents=True, exist_ok=True)
    path = FOLDER / "training.md"
    for name in options.sections or _TITLES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found = _measured(name, options)
        sizes = [f"--photographs={options.photographs}", f"--rounds={options.rounds}"]
        arguments = [name, *(sizes if name == "speed" else [])]
        command = shlex.join([".venv/bin/python", "-m", "benchmarks.training", *arguments])
        lines = [f"`{command}` on {datetime.date.today()}:", f"{machine()};", f"{versions(_PACKAGES)}.", ""]
        lines += found.lines
        print("\n".join(lines))
        if found.comparison is not None:
            _draw(name, found.comparison, options.cache)
        page = path.read_text(encoding="utf-8") if path.exists() else _HEAD
        path.write_text(with_section(page, name, lines, _TITLES, _HEAD), encoding="utf-8")


if __name__ == "__main__":
    main()
