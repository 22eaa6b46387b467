"""A command ends without a traceback when it is interrupted or can't write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tfleet.runtime.clean_exit import clean_exit

pytestmark = pytest.mark.process


def test_an_interrupt_ends_with_the_shells_code() -> None:
    with pytest.raises(SystemExit) as caught, clean_exit():
        raise KeyboardInterrupt
    assert caught.value.code == 130


def test_a_block_without_errors_continues() -> None:
    with clean_exit():
        done = True
    assert done


def test_a_closed_output_pipe_ends_quietly() -> None:
    code = """
from tfleet.runtime.clean_exit import clean_exit
with clean_exit():
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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("classify", "--help"), ("prune", "--help")]
)
def test_help_on_a_full_disk_is_one_line_and_exit_code_1(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tfleet", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == "can't write to standard output: No space left on device\n"
