"""The command `tfleet score` in a process of its own, and rows for the model that comes with tfleet."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.environment import users_environment
from tests.support.memory import proportional_bytes_of

IRIS = Path(__file__).parents[2] / "worker" / "models" / "iris"
COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")

Scored = subprocess.CompletedProcess[str]


def score_argv(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tfleet", "score", *map(str, arguments)]


@pytest.fixture
def score() -> Callable[..., Scored]:
    """Run `tfleet score` with these arguments, in a folder."""

    def run(*arguments: object, cwd: Path | None = None) -> Scored:
        return subprocess.run(
            score_argv(*arguments),
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
            cwd=cwd,
            env=users_environment(),
        )

    return run


def most_bytes(process: subprocess.Popen[str]) -> int:
    """The most that the process and its children have at a time, until it ends."""
    found = 0
    while process.poll() is None:
        found = max(found, proportional_bytes_of(process.pid))
        time.sleep(0.02)
    return found


def flowers(rows: int, seed: int = 0) -> str:
    """CSV of so many flowers, each with an id."""
    sizes = np.random.default_rng(seed).uniform(0, 8, (rows, len(COLUMNS))).round(1)
    lines = [f"{number}," + ",".join(map(str, row)) for number, row in enumerate(sizes.tolist())]
    return "\n".join([f"id,{','.join(COLUMNS)}", *lines]) + "\n"
