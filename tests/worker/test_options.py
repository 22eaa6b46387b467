"""The options that name a model and its version."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tfleet.discovery.options import take_options
from tfleet.worker.options import ModelOptions, model_options

IRIS = Path(__file__).parents[2] / "worker" / "models" / "iris"


@click.command()
@model_options
def label(**options: object) -> None:
    click.echo(take_options(ModelOptions, options).find().label)


@pytest.mark.parametrize(
    ("options", "served"),
    [
        ((), "iris/1"),
        (("--model-name", "my flowers"), "my flowers/1"),
        (("--model-version", "2026-11"), "iris/2026-11"),
        (("--model-name", "flowers", "--model-version", "7"), "flowers/7"),
    ],
)
def test_a_name_and_a_version_replace_the_folders(options: tuple[str, ...], served: str) -> None:
    result = CliRunner().invoke(label, ["--model", str(IRIS), *options], catch_exceptions=False)
    assert result.output == f"{served}\n"


@pytest.mark.parametrize("name", ["", "a\nb", " a", "模型", "x" * 1000])
def test_a_name_has_to_be_printable_ascii(name: str) -> None:
    result = CliRunner().invoke(label, ["--model", str(IRIS), "--model-name", name])
    assert result.exit_code == 2
    assert "Error: --model-name '" in result.output
    assert "is not printable ASCII of bounded length" in result.output
