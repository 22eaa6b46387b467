"""The line of `tfleet model show` that calls the model is run against a worker that serves it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.tensor_models import Vocabulary
from tests.support.waiting import eventually_sync
from tests.support.worker_process import worker_process
from tfleet.worker.model.example import curl_line
from tfleet.worker.model.find import find_model
from tfleet.worker.model.report import look_at
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


def _outputs(model: Path, tmp_path: Path, signature: str) -> Any:
    """What a worker with this model answers to the line for the signature."""
    report = look_at(find_model(model))
    # python3 in the line has to be one with NumPy, and what it writes goes to a folder of the test's.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with worker_process("--registry", "static:", "--port", "0", "--model", str(model)) as worker:
        address = worker.address()
        eventually_sync(worker.ready, timeout_s=60)
        found = report.contents.signatures[signature]
        line = curl_line(found, default=signature == report.default, address=str(address))
        done = subprocess.run(
            f"{line} --silent --fail-with-body",
            shell=True,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["outputs"]


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """Two signatures: columns of numbers, and other types."""
    module = tf.Module()
    number, vector = tf.TensorSpec([None], tf.float32), tf.TensorSpec([None, 2], tf.int64, "whole")
    flag, word = tf.TensorSpec([None, 1], tf.bool, "flag"), tf.TensorSpec([None], tf.string, "word")
    module.add = tf.function(lambda a, b: {"sum": a + b}, input_signature=[number, number])
    module.mixed = tf.function(
        lambda whole, flag, word: {"whole": whole + 1, "flag": tf.logical_not(flag), "word": word + "!"},
        input_signature=[vector, flag, word],
    )
    signatures = {"serving_default": module.add, "mixed": module.mixed}
    tf.saved_model.save(module, str(tmp_path / "several" / "1"), signatures=signatures)
    return tmp_path / "several"


def test_a_row_of_columns(several: Path, tmp_path: Path) -> None:
    assert _outputs(several, tmp_path, "serving_default") == {"sum": 1.0}


def test_another_signature_of_many_types(several: Path, tmp_path: Path) -> None:
    assert _outputs(several, tmp_path, "mixed") == {"whole": [2, 2], "flag": [False], "word": "some text!"}


def test_a_word(tmp_path: Path) -> None:
    module = Vocabulary()
    tf.saved_model.save(module, str(tmp_path / "words"), signatures=module.number)
    assert _outputs(tmp_path / "words", tmp_path, "serving_default") == {"number": 0}


def test_a_large_tensor_in_a_file(tmp_path: Path) -> None:
    module = tf.Module()
    module.f = tf.function(
        lambda x: {"total": tf.reduce_sum(x, [1, 2])},
        input_signature=[tf.TensorSpec([None, 100, 20], tf.float32, "x")],
    )
    tf.saved_model.save(module, str(tmp_path / "large"), signatures=module.f)
    assert _outputs(tmp_path / "large", tmp_path, "serving_default") == {"total": [1000.0]}
