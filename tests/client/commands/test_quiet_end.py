from __future__ import annotations

import subprocess
import sys

import pytest

from tfleet.client.commands.options import quiet_end


def test_an_interrupt_ends_with_the_shells_code() -> None:
    with pytest.raises(SystemExit) as caught, quiet_end():
        raise KeyboardInterrupt
    assert caught.value.code == 130


def test_a_block_without_errors_continues() -> None:
    with quiet_end():
        done = True
    assert done


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
