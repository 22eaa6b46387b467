from __future__ import annotations

import subprocess
import sys

import pytest

from tfleet.client.commands.options import HINT, quiet_end, with_hint
from tfleet.client.errors import FleetUnavailableError, UnexpectedAnswerError


def test_a_proxy_that_can_t_be_reached_comes_with_what_to_do() -> None:
    assert with_hint(FleetUnavailableError("cannot reach x: refused")) == f"cannot reach x: refused. {HINT}"


def test_any_other_error_is_unchanged() -> None:
    assert with_hint(UnexpectedAnswerError("x is no proxy")) == "x is no proxy"


def test_an_interrupt_ends_with_the_shells_code() -> None:
    with pytest.raises(SystemExit) as caught, quiet_end():
        raise KeyboardInterrupt
    assert caught.value.code == 130


def test_a_block_without_errors_continues() -> None:
    with quiet_end():
        done = True
    assert done


@pytest.mark.process
def test_a_closed_output_pipe_ends_quietly() -> None:
    code = """
from tfleet.client.commands.options import quiet_end
with quiet_end():
    while True:
        print("line")
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
