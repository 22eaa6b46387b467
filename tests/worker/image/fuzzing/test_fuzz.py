"""Mutated pictures are a picture or a documented error, within the bounds of a worker's own process."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.worker.image.fuzzing.corpus import corpus
from tests.worker.image.fuzzing.fuzz import MAX_BYTES, MAX_CPU_S
from tfleet.worker.image.formats import read_header
from tfleet.worker.image.limits import ImageLimits

pytestmark = pytest.mark.process


_RUNS = 15_000


def test_the_corpus_itself_is_all_pictures() -> None:
    for data in corpus():
        read_header(data, ImageLimits())


@pytest.mark.parametrize("seed", [11, 12, 13, 14])
def test_mutated_pictures_stay_within_the_bounds(seed: int) -> None:
    """60,000 runs in all. Each seed has a process of its own, so that its memory is its own."""
    command = [
        sys.executable,
        "-m",
        "tests.worker.image.fuzzing.fuzz",
        "--runs",
        str(_RUNS),
        "--seed",
        str(seed),
    ]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert sum(found["outcomes"].values()) == _RUNS
    assert found["outcomes"]["a picture"] > _RUNS / 10
    assert found["outcomes"]["BrokenImageError"] > _RUNS / 10
    assert found["longest_s"] < MAX_CPU_S
    assert found["grown_bytes"] < MAX_BYTES
