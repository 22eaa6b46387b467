from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tfleet.deploy.lazy_commands import LazyCommand, LazyGroup


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LazyGroup:
    """Commands in modules that are made for this test: fine, without its extra, and broken by ourselves."""
    (tmp_path / "lazy_fine.py").write_text(
        "import click\n"
        "@click.command()\n"
        "@click.option('--port', default=1)\n"
        "@click.option('--late', is_flag=True)\n"
        "def fine(port, late):\n"
        "    'The long help.'\n"
        "    if late:\n"
        "        import a_heavy_module.part\n"
        "    click.echo(port)\n"
    )
    (tmp_path / "lazy_lacking.py").write_text("import a_heavy_module\n")
    (tmp_path / "lazy_broken.py").write_text("import tfleet.no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    commands = [
        LazyCommand("fine", "lazy_fine:fine", short_help="It is fine.", extra="worker"),
        LazyCommand("lacking", "lazy_lacking:x", short_help="It lacks something.", extra="worker"),
        LazyCommand("broken", "lazy_broken:x", short_help="It is broken.", extra="worker"),
        LazyCommand("large", "lazy_lacking:x", short_help="It lacks more.", extra="worker,proxy"),
        LazyCommand("bare", "lazy_lacking:x", short_help="It has no extra."),
    ]
    return LazyGroup("tfleet", commands=commands)


def test_the_list_of_commands_imports_none_of_them(group: LazyGroup) -> None:
    result = CliRunner().invoke(group, ["--help"], prog_name="tfleet")
    assert "fine     It is fine." in result.output
    assert "lazy_fine" not in sys.modules


def test_a_command_runs_with_its_options_and_variables(group: LazyGroup) -> None:
    assert CliRunner().invoke(group, ["fine", "--port", "7"]).output == "7\n"
    assert CliRunner().invoke(group, ["fine"], env={"TFLEET_PORT": "8"}).output == "8\n"
    assert "The long help." in CliRunner().invoke(group, ["fine", "--help"]).output


@pytest.mark.parametrize("arguments", [["lacking"], ["lacking", "--help"]])
def test_a_missing_extra_is_one_line(group: LazyGroup, arguments: list[str]) -> None:
    result = CliRunner().invoke(group, arguments, prog_name="tfleet")
    assert result.output == (
        'Error: there is no module a_heavy_module: tfleet lacking needs the extra "worker": '
        "pip install 'tfleet[worker]'\n"
    )
    assert result.exit_code == 2


def test_missing_extras_are_one_line(group: LazyGroup) -> None:
    result = CliRunner().invoke(group, ["large"], prog_name="tfleet")
    assert result.output.endswith(
        'tfleet large needs the extras "worker" and "proxy": pip install \'tfleet[worker,proxy]\'\n'
    )


def test_a_module_missed_only_in_the_run_is_the_same(group: LazyGroup) -> None:
    result = CliRunner().invoke(group, ["fine", "--late"], prog_name="tfleet")
    assert "tfleet fine needs the extra" in result.output
    assert result.exit_code == 2


@pytest.mark.parametrize("command", ["broken", "bare"])
def test_a_missing_module_of_no_extra_is_raised_as_it_is(group: LazyGroup, command: str) -> None:
    assert isinstance(CliRunner().invoke(group, [command]).exception, ModuleNotFoundError)


def test_an_unknown_command_is_a_usage_error(group: LazyGroup) -> None:
    result = CliRunner().invoke(group, ["what"])
    assert result.exit_code == click.UsageError.exit_code
