"""`tfleet score`, run and watched."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report.watched import Watched, watched

ROOT = Path(__file__).parents[2]
MEMORY_MB = 1000
"""What `--memory` is by default."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A run of `tfleet score`: its summary, and how its process went."""

    summary: dict[str, Any]
    process: Watched

    @property
    def per_second(self) -> float:
        """Rows or images a second, with reading and writing, after the model is loaded."""
        return float(self.summary["rows_per_s"])

    @property
    def seconds(self) -> float:
        """Of scoring."""
        return float(self.summary["seconds"])

    @property
    def halves_mb(self) -> tuple[float, float]:
        """The most memory in the first half of scoring, and in the second half."""
        end_s = self.process.seconds
        middle_s = end_s - self.seconds / 2
        first = self.process.most_between(end_s - self.seconds, middle_s)
        return first / 1e6, self.process.most_between(middle_s, end_s) / 1e6


def score_argv(*arguments: object) -> list[str]:
    """The command."""
    return [sys.executable, "-m", "tfleet", "score", *map(str, arguments), "--json"]


def score(*arguments: object) -> Scored:
    """Run it."""
    process = watched(score_argv(*arguments), cwd=ROOT)
    return Scored(json.loads(process.output), process)


def program(module: str, arguments: Sequence[object]) -> Watched:
    """Run another one: `python -m module`."""
    return watched([sys.executable, "-m", module, *map(str, arguments)], cwd=ROOT)
