"""Damaged inference requests to a worker; `damaged_requests.py` sends far more."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

RUNS = 2_000


@pytest.mark.process
def test_a_worker_answers_damaged_requests() -> None:
    # A process of its own, so that its CPU time and memory are those of the worker.
    program = "tests.worker.api.protocols.oip.damaged_requests"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", program, str(RUNS)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = ast.literal_eval(done.stdout)
    assert sum(found.values()) == RUNS
    assert found[200] > RUNS / 20
    assert found[400] > RUNS / 2
