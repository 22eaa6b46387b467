"""Folders of models that are made once for all processes of a test run."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SHARED: Final = ROOT.parent / "shared" / "models"
"""Models that others made, kept beside the repository; not there in a clone."""


def golden_folder(factory: pytest.TempPathFactory) -> Path:
    """What `tests/support/golden_models.py` makes."""
    return _made_once(factory, "golden-models", ("-m", "tests.support.golden_models"))


def made_folder(factory: pytest.TempPathFactory) -> Path:
    """What the program in `SHARED` makes: models, and Keras' answers. Its Keras files are converted."""
    programs = (str(SHARED / "make_models.py"),), ("-m", "tests.support.converted_models")
    return _made_once(factory, "made-models", *programs)


def _made_once(factory: pytest.TempPathFactory, name: str, *programs: tuple[str, ...]) -> Path:
    """The folder that these programs fill. The first process that asks makes it; others wait."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            unfinished.mkdir()
            for program in programs:
                command = (sys.executable, *program, str(unfinished))
                subprocess.run(command, check=True, timeout=500, cwd=ROOT, env=environment)
            unfinished.rename(folder)
    return folder
