"""Damaged bodies sent to a worker; `python -m tests.worker.api.protocols.fuzz_over_http` sends far more."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.worker.api.protocols.fuzz import SEEDS

RUNS = 1_500
FIGURES = re.compile(r"(\w+): (\d+) bodies in .* at most (\d+) ms of CPU, ([+-][\d.]+) MiB\n")


@pytest.mark.process
@pytest.mark.parametrize("form", SEEDS)
def test_a_worker_answers_damaged_bodies(form: str) -> None:
    # A process of its own, so that its CPU time and memory are those of the worker.
    command = [
        "tests.worker.api.protocols.fuzz_over_http",
        "--form",
        form,
        "--runs",
        str(RUNS),
        "--seed",
        "5",
    ]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", *command],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = FIGURES.fullmatch(done.stdout)
    assert found, done.stdout
    assert (found[1], int(found[2])) == (form, RUNS)
    assert int(found[3]) < 1000, "no run over a second"
    assert float(found[4]) < 24, "no growth"
    assert "200: " in done.stdout
    assert int(re.findall(r"400: (\d+)", done.stdout)[0]) > RUNS / 2
