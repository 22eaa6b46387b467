from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Each import of Keras takes seconds: one process makes the models of all tests, and no test imports it.


@pytest.fixture(scope="session")
def keras_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the models that `tests/support/keras_models.py` makes and converts."""
    folder = tmp_path_factory.mktemp("keras-models")
    program = (sys.executable, "-m", "tests.support.keras_models", str(folder))
    subprocess.run(program, check=True, timeout=500, cwd=Path(__file__).parents[3])
    return folder
