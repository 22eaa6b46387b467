from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tests.support.environment import users_environment
from tfleet.deploy.cli import cli
from tfleet.deploy.lazy_commands import LazyCommand
from tfleet.deploy.local.plan import PROGRAM

pytestmark = pytest.mark.process


def _up(*arguments: str, **variables: str | None) -> Result:
    environ = {"CONSUL_HTTP_ADDR": None, **variables}
    return CliRunner().invoke(cli, ["up", *arguments], env=environ, prog_name="tfleet")


def test_a_static_registry_is_refused_in_one_line() -> None:
    result = _up("--registry", "static:10.0.0.1:8080")
    assert result.output.startswith("Error: --registry static:10.0.0.1:8080: workers do not register")
    assert result.output.count("\n") == 1
    assert result.exit_code == 2


@pytest.mark.parametrize(("option", "other"), [("--port", "--registry-port"), ("--registry-port", "--port")])
def test_a_taken_port_is_reported_before_anything_starts(option: str, other: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = _up(option, str(port), other, "0")
    assert result.output.startswith(f"Error: port {port} ({option}) is taken")
    assert result.output.count("\n") == 1
    assert result.exit_code == 2


def test_unreadable_keys_are_reported_before_any_start(tmp_path: Path) -> None:
    result = _up(TFLEET_TICKET_KEY_FILE=str(tmp_path / "nowhere"))
    assert result.output.startswith(
        f"Error: --ticket-key-file {tmp_path}/nowhere: no such file or directory; "
    )
    assert result.output.count("\n") == 1
    assert result.exit_code == 2


def test_with_consul_the_registry_port_does_not_matter() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        arguments = ("--registry", "consul://127.0.0.1:1", "--registry-port", port, "--port", port)
        assert f"port {port} (--port) is taken" in _up(*arguments).output


@pytest.mark.parametrize("arguments", [("--workers", "0"), ("--mode", "x"), ("--registry", "zookeeper://x")])
def test_a_wrong_option_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    assert _up(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--model", "nowhere"), "nowhere: there is no such file or folder; "),
        (("--model", "empty"), "empty: has neither a model"),
        (("--model", "nope://host/x"), "nope://host/x: can't be fetched: "),
        (("--model", "graph.pb"), "graph.pb: is empty (0 bytes)"),
        (("--input-size", "224"), "--input-size describe a model: name it with --model"),
    ],
)
def test_a_models_files_are_checked_first(tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "graph.pb").touch()
    done = subprocess.run(
        [*PROGRAM, "up", "--port", "0", "--registry-port", "0", *arguments],
        cwd=tmp_path,
        env=users_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {reason}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--models", "here", "--model", "x"), "--model is about one model, and --models names a folder of"),
        (("--models", "here", "--model-name", "x"), "--model-name is about one model"),
        (("--models", "here", "--labels", "x"), "--labels is about one model"),
        (("--models", "here", "--workers", "3"), "--workers: with --models, set --workers-per-model"),
        (("--keep", "1"), "--keep is for --models"),
        (("--models", "a.config", "--keep", "1"), "--keep is for a folder: the file says which versions"),
        (("--models", "a.config"), "--models a.config: line 1: models.config has no field 'x'"),
        (("--workers-per-model", "1"), "--workers-per-model is for --models"),
        (("--models", "nowhere"), "--models nowhere: cannot be read: No such file or directory"),
    ],
)
def test_models_are_one_way_to_say_what_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], reason: str
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "a.config").write_text("x: 1")
    monkeypatch.chdir(tmp_path)
    result = _up(*arguments)
    assert f"Error: {reason}" in result.output
    assert result.exit_code == 2


def test_a_variable_for_one_model_does_not_go_with_models(tmp_path: Path) -> None:
    assert "--model is about one model" in _up("--models", str(tmp_path), TFLEET_MODEL="x").output


def test_every_option_of_a_worker_is_one_of_the_fleet() -> None:
    names = {option: {each.name for each in _loaded(option).params} for option in ("worker", "up")}
    # Each worker has a port of its own, and the address that it is found at.
    assert names["worker"] - names["up"] == {"advertise", "find_wan"}


def _loaded(name: str) -> click.Command:
    command = cli.commands[name]
    assert isinstance(command, LazyCommand)
    return command.load()


def test_a_host_of_another_machine_is_refused() -> None:
    result = _up("--host", "192.0.2.1", "--port", "0", "--registry-port", "0")
    assert result.output == (
        "Error: port 0 (--port) on 192.0.2.1 (--host) cannot be used: Cannot assign requested address\n"
    )
    assert result.exit_code == 2


def test_the_host_may_come_from_the_environment() -> None:
    assert "on 192.0.2.1 (--host)" in _up("--registry-port", "0", TFLEET_HOST="192.0.2.1").output


def test_every_option_is_a_variable_too() -> None:
    assert "workers do not register" in _up(TFLEET_REGISTRY="static:10.0.0.1:8080").output
