"""What needs no engine; the rest is in tests/compose/test_scaling.py and test_scale_command.py."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tfleet.deploy.compose.autoscale_command import autoscale


def test_a_min_above_max_is_refused() -> None:
    done = CliRunner().invoke(autoscale, ["--min", "4", "--max", "3"])
    assert (done.exit_code, done.output) == (2, "Error: --min 4 is more than --max 3\n")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["--max", "3"], "--min"),
        (["--min", "0", "--max", "3"], "--min"),
        (["--min", "1", "--max", "3", "--target-busy", "1.5"], "--target-busy"),
        (["--min", "1", "--max", "3", "--interval", "0"], "--interval"),
    ],
)
def test_wrong_usage_names_the_option(wrong: list[str], named: str) -> None:
    done = CliRunner().invoke(autoscale, wrong)
    assert done.exit_code == 2
    assert f"'{named}'" in done.output
