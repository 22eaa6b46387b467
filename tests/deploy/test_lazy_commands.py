from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.support.environment import users_environment
from tfleet.deploy.cli import cli
from tfleet.deploy.lazy_commands import LazyCommand, LazyGroup
from tfleet.deploy.local.plan import PROGRAM
from tfleet.deploy.variables import (
    KNOWN,
    give_variables,
    unknown_variable_message,
    unknown_variables,
    variable,
    variables,
)


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
    (tmp_path / "lazy_stopped.py").write_text("raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    commands = [
        LazyCommand("fine", "lazy_fine:fine", short_help="It is fine.", extra="worker"),
        LazyCommand("lacking", "lazy_lacking:x", short_help="It lacks something.", extra="worker"),
        LazyCommand("broken", "lazy_broken:x", short_help="It is broken.", extra="worker"),
        LazyCommand("large", "lazy_lacking:x", short_help="It lacks more.", extra="worker,proxy"),
        LazyCommand("bare", "lazy_lacking:x", short_help="It has no extra."),
        LazyCommand("stopped", "lazy_stopped:x", short_help="Ctrl-C comes as it is imported."),
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
        'Error: the Python module a_heavy_module is missing: tfleet lacking needs the extra "worker": '
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


def test_ctrl_c_during_the_import_has_its_exit_code(group: LazyGroup) -> None:
    result = CliRunner().invoke(group, ["stopped"])
    assert (result.exit_code, result.output) == (130, "")


def test_an_unknown_command_is_a_usage_error(group: LazyGroup) -> None:
    result = CliRunner().invoke(group, ["what"])
    assert result.exit_code == click.UsageError.exit_code


@pytest.mark.parametrize(
    ("declarations", "name"),
    [
        (["--port"], "TFLEET_PORT"),
        (["-p", "--port"], "TFLEET_PORT"),
        (["--max-body-bytes"], "TFLEET_MAX_BODY_BYTES"),
        (["--drain-timeout", "drain_timeout_s"], "TFLEET_DRAIN_TIMEOUT"),
        (["--json/--no-json", "as_json"], "TFLEET_JSON"),
    ],
)
def test_a_variable_is_called_after_the_flag(declarations: list[str], name: str) -> None:
    assert variable(click.Option(declarations)) == name


@pytest.fixture
def command() -> click.Command:
    @click.command()
    @click.argument("file", required=False)
    @click.option("--port", type=int, default=1)
    @click.option("--token", envvar="CONSUL_HTTP_TOKEN")
    @click.option("--proxy", envvar=["TFLEET_PROXY", "PROXY"])
    @click.version_option("1")
    def command(file: str | None, port: int, token: str | None, proxy: str | None) -> None:
        click.echo(f"{file} {port} {token} {proxy}")

    give_variables(command)
    give_variables(command)  # a second time changes nothing
    return command


def test_the_command_line_wins_over_the_variable(command: click.Command) -> None:
    def output(arguments: list[str], **variables: str) -> str:
        return CliRunner().invoke(command, arguments, env=variables).output

    assert output([]) == "None 1 None None\n"
    assert output([], TFLEET_PORT="2", TFLEET_FILE="no", TFLEET_VERSION="1") == "None 2 None None\n"
    assert output(["--port", "3"], TFLEET_PORT="2") == "None 3 None None\n"


def test_our_variable_comes_before_the_commands_own(command: click.Command) -> None:
    variables = {"CONSUL_HTTP_TOKEN": "theirs", "PROXY": "p"}
    assert CliRunner().invoke(command, env=variables).output == "None 1 theirs p\n"
    variables["TFLEET_TOKEN"] = "ours"
    assert CliRunner().invoke(command, env=variables).output == "None 1 ours p\n"


def test_help_names_the_variables(command: click.Command) -> None:
    text = CliRunner().invoke(command, ["--help"]).output
    assert "[env var: TFLEET_PORT]" in text
    assert "TFLEET_TOKEN, CONSUL_HTTP_TOKEN" in text
    assert text.count("TFLEET_PROXY") == 1


ROOT = Path(__file__).parents[2]
FILES = (*ROOT.glob("docker-compose*.yml"), ROOT / ".env.example", *(ROOT / "deploy").glob("*.*"))


def test_the_written_list_is_that_of_the_commands() -> None:
    of_commands = set()
    for _, command in cli.leaves():
        of_commands |= variables(command.load())
    assert sorted(of_commands ^ KNOWN) == []


@pytest.mark.parametrize("name", ["rollout", "promote", "rollback", "label"])
def test_no_variable_says_how_a_plan_changes(name: str) -> None:
    registry = {"REGISTRY", "REGISTRY_PORT", "REGISTRY_TOKEN_FILE", "SERVICE"}
    allowed = {f"TFLEET_{each}" for each in {*registry, "DRY_RUN", "JSON"}}
    assert variables(dict(cli.leaves())[name].load()) == allowed


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_variables_of_the_containers_are_known(file: Path) -> None:
    named = re.findall(r"\bTFLEET_[A-Z_]+[A-Z](?=\s*[:=])", file.read_text())
    assert unknown_variables(dict.fromkeys(named, "")) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TFLEET_MODLE", ": did you mean TFLEET_MODEL?"),
        ("TFLEET_MAX_BODY", ": did you mean TFLEET_MAX_BODY_BYTES?"),
        ("TFLEET_QQQQQQQQQQQQQQ", ""),
    ],
)
def test_an_unknown_variable_is_reported_with_the_closest(name: str, meant: str) -> None:
    assert unknown_variables({name: "x", "TFLEET_MODEL": "y", "PATH": "z"}) == [name]
    assert unknown_variable_message(name) == f"{name} is not one of tfleet's variables{meant}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TFLEET_SERVICE_HOST", "10.0.0.1"),
        ("TFLEET_SERVICE_PORT_HTTP", "80"),
        ("TFLEET_WORKER_PORT", "tcp://10.0.0.1:80"),
        ("TFLEET_WORKER_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("TFLEET_PROXY_SERVICE_PORT", "80"),
    ],
)
def test_variables_set_by_kubernetes_are_accepted(name: str, value: str) -> None:
    assert unknown_variables({name: value}) == []


@pytest.mark.process
@pytest.mark.parametrize("command", sorted(name for name, _ in cli.leaves()))
def test_every_command_complains_in_a_line(command: str) -> None:
    environ = users_environment() | {"TFLEET_MODLE": "x", "TFLEET_MODEL": "y"}
    done = subprocess.run(
        [*PROGRAM, *command.split(), "--help"], capture_output=True, text=True, env=environ, check=True
    )
    assert done.stderr == (
        f"tfleet {command}: TFLEET_MODLE is not one of tfleet's variables: did you mean TFLEET_MODEL?\n"
    )
