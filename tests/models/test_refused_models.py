"""A worker ends with exit code 2 and one line where it can't serve a model, or would have to guess."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.worker_process import COMMAND

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

SCALING = "set --input-mean 0 --input-std 255 for pixels from 0 to 1"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lambda.h5", "the Lambda layer 'double' is Python code inside the file: give --trust"),
        ("lambda.keras", "the Lambda layer 'double' is Python code inside the file: give --trust"),
        ("only.weights.h5", "has the weights only, not the model"),
        ("logits", SCALING),
        ("logits.keras", SCALING),
        ("grey_28.h5", SCALING),
    ],
)
def test_a_worker_says_in_one_line_why_it_ends(
    golden_models: Path, tmp_path: Path, name: str, said: str
) -> None:
    command = [*COMMAND, "--registry", "static:", "--port", "0", "--model", str(golden_models / name)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == 2, done.stderr
    (line,) = (each for each in done.stderr.splitlines() if not each.startswith("{"))
    assert line.startswith(f"tfleet worker: {golden_models / name}")
    assert said in line
