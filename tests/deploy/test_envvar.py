from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from tfleet.deploy.lazy_commands import give_variables, variable


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
