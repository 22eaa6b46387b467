from __future__ import annotations

import pytest

from tfleet.runtime.child_process import ExitStatus


@pytest.mark.parametrize(
    ("returncode", "text"),
    [(0, "exit code 0"), (1, "exit code 1"), (-9, "SIGKILL"), (-11, "SIGSEGV"), (-40, "signal 40")],
)
def test_it_says_how_the_child_ended(returncode: int, text: str) -> None:
    assert str(ExitStatus(returncode)) == text


@pytest.mark.parametrize("returncode", [-15, -9, -2, 0, 1, 3])
def test_only_exit_code_2_is_unusable(returncode: int) -> None:
    assert not ExitStatus(returncode).unusable
    assert ExitStatus(2).unusable
