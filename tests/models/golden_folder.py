"""The folder of the seeded models, made once for all processes of a test run."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest


def golden_folder(factory: pytest.TempPathFactory) -> Path:
    """What `tests/support/golden_models.py` makes. The first process that asks makes it; others wait."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "golden-models"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            unfinished.mkdir()
            program = (sys.executable, "-m", "tests.support.golden_models", str(unfinished))
            subprocess.run(program, check=True, timeout=500, cwd=Path(__file__).parents[2])
            unfinished.rename(folder)
    return folder
