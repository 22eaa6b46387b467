"""Damaged bodies of every form; `python -m tests.worker.api.protocols.fuzz --runs 50000` tries more."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.worker.api.protocols.fuzz import SEEDS

RUNS = 12_500


@pytest.mark.process
@pytest.mark.parametrize("form", SEEDS)
def test_damaged_bodies_are_read_or_refused(form: str) -> None:
    # A process of its own: a crash in a library must not take the other tests with it.
    command = ["tests.worker.api.protocols.fuzz", "--runs", str(RUNS), "--form", form, "--seed", "13"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", *command],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"{form}: {RUNS} bodies in " in done.stdout
    assert "400: " in done.stdout
    assert "rows: " in done.stdout
