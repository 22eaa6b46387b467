from __future__ import annotations

import pytest

from tfleet.deploy.local.child_process import Ending


@pytest.mark.parametrize(
    ("returncode", "text"),
    [(0, "exit code 0"), (1, "exit code 1"), (-9, "SIGKILL"), (-11, "SIGSEGV"), (-40, "signal 40")],
)
def test_it_says_how_the_child_ended(returncode: int, text: str) -> None:
    assert str(Ending(returncode)) == text


@pytest.mark.parametrize("returncode", [-15, -9, -2, 0, 1, 3])
def test_only_exit_code_2_is_hopeless(returncode: int) -> None:
    assert not Ending(returncode).hopeless
    assert Ending(2).hopeless
