from __future__ import annotations

import pytest

from tfleet.deploy.errors import CommandRefusedError


def test_a_deploy_error_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    error = CommandRefusedError("that cannot be")
    error.show()
    assert capsys.readouterr().err == "Error: that cannot be\n"
    assert error.exit_code == 2
