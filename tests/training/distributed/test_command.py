"""What `tfleet train` refuses before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tfleet.training.distributed.command import train


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--hosts", "a,b", "--machines", "2"), "give either --hosts or --machines"),
        (("--rank", "1"), "--rank goes with --hosts"),
        (("--machines", "2", "--port", "99"), "--port goes with --hosts"),
        (("--registry", "consul://a:8500"), "--registry goes with --machines"),
        (("--hosts", "a,b", "--run", "monday"), "--run goes with --machines"),
        (("--name", "../flowers"), "without a slash or a leading dot"),
        (("--name", "flowers.tmp"), "must not end in .tmp or .partial"),
        (("--machines", "2", "--join-timeout", "nan"), "give a number of seconds"),
        (("--name", ""), "without a slash or a leading dot"),
        (("--processes", "0"), "0 is not in the range"),
        (("--seed", "-1"), "-1 is not in the range"),
    ],
)
def test_options_that_cannot_go_together(options: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(train, [__file__, *options])
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


def test_a_script_that_is_not_there_is_named() -> None:
    done = CliRunner().invoke(train, ["no-such-script"])
    assert done.exit_code == 2
    assert "'no-such-script' does not exist" in done.output


@pytest.mark.parametrize("name", ["train.tmp.py", ".train.py", "blümchen.py"])
def test_a_script_whose_name_no_model_has_needs_one(name: str, tmp_path: Path) -> None:
    script = tmp_path / name
    script.touch()
    done = CliRunner().invoke(train, [str(script)])
    assert done.exit_code == 2
    assert "can't be the model's" in done.output
    assert "give --name" in done.output
