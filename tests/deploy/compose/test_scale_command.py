"""What needs no engine; the rest is in tests/compose/test_scaling.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support.environment import users_environment
from tfleet.deploy.compose.scale_command import scale

pytestmark = pytest.mark.process

NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
WITHOUT_DOCKER = "import sys; sys.modules['docker'] = None; from tfleet.deploy.cli import main; main()"


def tfleet(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tfleet", *arguments],
        env={**users_environment(), **NO_ENGINE, **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


COMMANDS = [("scale", "3"), ("autoscale", "--min", "1", "--max", "3")]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_engine_that_is_not_there_is_one_line(command: tuple[str, ...]) -> None:
    done = tfleet(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "no Docker engine answers (No such file or directory): start it, or set DOCKER_HOST to its address\n"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_without_the_docker_sdk_it_says_what_to_install(command: tuple[str, ...]) -> None:
    run = [sys.executable, "-c", WITHOUT_DOCKER, *command]
    done = subprocess.run(run, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: the Python module docker is missing: ")
    assert done.stderr.endswith(f"{command[0]} needs the extra \"docker\": pip install 'tfleet[docker]'\n")


@pytest.mark.parametrize("wrong", ["-1", "some", ""])
def test_an_invalid_number_of_workers_is_wrong_usage(wrong: str) -> None:
    done = CliRunner().invoke(scale, ["--", wrong])
    assert done.exit_code == 2
    assert "Invalid value for 'N'" in done.output


def test_a_forbidden_socket_says_who_may_use_it(tmp_path: Path) -> None:
    if subprocess.run(["id", "-u"], capture_output=True, check=True).stdout == b"0\n":
        run = ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-m", "tfleet", "scale", "3"]
    else:
        run = [sys.executable, "-m", "tfleet", "scale", "3"]
    socket = tmp_path / "docker.sock"
    socket.touch(mode=0o000)
    env = {**users_environment(), "DOCKER_HOST": f"unix://{socket}"}
    done = subprocess.run(run, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert done.stderr.endswith(": run this as root or as a member of the group docker\n")
