"""TensorFlow starts without a word."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.process


def _import(**environment: str) -> str:
    code = "import os; import tfleet.worker.model.quiet; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        timeout=60,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"} | environment,
    )
    return done.stdout


def test_nothing_is_said_at_the_import() -> None:
    assert _import() == "2\n"


def test_an_operator_who_wants_to_read_it_all_can() -> None:
    assert _import(TF_CPP_MIN_LOG_LEVEL="0").endswith("0\n")
