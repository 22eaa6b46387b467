from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tfleet.deploy.cli import cli
from tfleet.deploy.fleet import PROGRAM


def _up(*arguments: str, **variables: str | None) -> Result:
    environ = {"CONSUL_HTTP_ADDR": None, **variables}
    return CliRunner().invoke(cli, ["up", *arguments], env=environ, prog_name="tfleet")


def test_a_static_registry_is_refused_in_one_line() -> None:
    result = _up("--registry", "static:10.0.0.1:8080")
    assert result.output.startswith("Error: --registry static:10.0.0.1:8080: nobody registers")
    assert result.output.count("\n") == 1
    assert result.exit_code == 2


@pytest.mark.parametrize(("option", "other"), [("--port", "--registry-port"), ("--registry-port", "--port")])
def test_a_taken_port_is_said_before_anything_is_started(option: str, other: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = _up(option, str(port), other, "0")
    assert result.output.startswith(f"Error: port {port} ({option}) is taken")
    assert result.output.count("\n") == 1
    assert result.exit_code == 2


def test_keys_that_can_t_be_read_are_said_before_anything_is_started(tmp_path: Path) -> None:
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


def test_a_model_that_cannot_be_used_ends_the_whole_fleet_with_the_workers_own_line(tmp_path: Path) -> None:
    arguments = ["--workers", "1", "--port", "0", "--registry-port", "0", "--model", "no-such-model"]
    done = subprocess.run(
        [*PROGRAM, "up", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert re.fullmatch("Error: worker-1 cannot run: .*no-such-model.*", done.stderr.splitlines()[-1])
    assert "up       | proxy started" in done.stderr


def test_every_option_is_a_variable_too() -> None:
    assert "nobody registers" in _up(TFLEET_REGISTRY="static:10.0.0.1:8080").output
