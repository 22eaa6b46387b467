"""The command `tfleet score` in a process of its own, and rows for the model that comes with tfleet."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support.forked_workers import ForkedWorkers, forked_workers
from tests.support.memory import proportional_bytes_of

IRIS = Path(__file__).parents[2] / "worker" / "models" / "iris"
COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")

IMPORTS = (
    "pyarrow.parquet",
    "tfleet.bulk.command",
    "tfleet.worker.api.protocols.example_body",
    "tfleet.worker.inference.open_model",
)

Scored = subprocess.CompletedProcess[str]


def score_argv(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tfleet", "score", *map(str, arguments)]


@pytest.fixture(scope="session")
def forked() -> Iterator[ForkedWorkers]:
    """What forks a process for each run. To import TensorFlow in each of them takes longer than most runs."""
    with forked_workers(*IMPORTS) as found:
        yield found


@pytest.fixture
def score(forked: ForkedWorkers) -> Callable[..., Scored]:
    """Run `tfleet score` with these arguments, in a folder."""
    return partial(forked.run, "score")


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
