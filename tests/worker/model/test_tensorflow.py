"""TensorFlow starts without a word."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.process


_OURS = ("TF_CPP_MIN_LOG_LEVEL", "TF_USE_LEGACY_KERAS")


def _import(**environment: str) -> str:
    code = (
        "import os, sys; import tfleet.worker.model.tensorflow; "
        "print(os.environ['TF_CPP_MIN_LOG_LEVEL'], 'keras' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        timeout=60,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={key: value for key, value in os.environ.items() if key not in _OURS} | environment,
    )
    return done.stdout


def test_the_import_is_silent_and_leaves_out_keras() -> None:
    assert _import() == "2 False\n"


def test_full_tensorflow_output_can_be_switched_on() -> None:
    assert _import(TF_CPP_MIN_LOG_LEVEL="0").endswith("0 False\n")
