from __future__ import annotations

import pytest

from tfleet.deploy.errors import RefusedError


def test_it_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    error = RefusedError("that cannot be")
    error.show()
    assert capsys.readouterr().err == "Error: that cannot be\n"
    assert error.exit_code == 2
