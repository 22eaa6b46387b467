from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.environment import users_environment
from tfleet.deploy.cli import cli
from tfleet.deploy.lazy_commands import KNOWN, LazyCommand, complaint, unknown, variables
from tfleet.deploy.local.plan import PROGRAM

ROOT = Path(__file__).parents[2]
FILES = (*ROOT.glob("docker-compose*.yml"), ROOT / ".env.example", *(ROOT / "deploy").glob("*.*"))


def test_the_written_list_is_that_of_the_commands() -> None:
    of_commands = set()
    for command in cli.commands.values():
        assert isinstance(command, LazyCommand)
        of_commands |= variables(command.load())
    assert sorted(of_commands ^ KNOWN) == []


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_variables_of_the_containers_are_known(file: Path) -> None:
    named = re.findall(r"\bTFLEET_[A-Z_]+[A-Z](?=\s*[:=])", file.read_text())
    assert unknown(dict.fromkeys(named, "")) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TFLEET_MODLE", ": did you mean TFLEET_MODEL?"),
        ("TFLEET_MAX_BODY", ": did you mean TFLEET_MAX_BODY_BYTES?"),
        ("TFLEET_QQQQQQQQQQQQQQ", ""),
    ],
)
def test_an_unknown_variable_is_reported_with_the_closest(name: str, meant: str) -> None:
    assert unknown({name: "x", "TFLEET_MODEL": "y", "PATH": "z"}) == [name]
    assert complaint(name) == f"{name} is none of tfleet's variables{meant}"


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
    assert unknown({name: value}) == []


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_complains_in_a_line(command: str) -> None:
    environ = users_environment() | {"TFLEET_MODLE": "x", "TFLEET_MODEL": "y"}
    done = subprocess.run(
        [*PROGRAM, command, "--help"], capture_output=True, text=True, env=environ, check=True
    )
    assert done.stderr == (
        f"tfleet {command}: TFLEET_MODLE is none of tfleet's variables: did you mean TFLEET_MODEL?\n"
    )
