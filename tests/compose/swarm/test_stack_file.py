"""What deploy/swarm/stack.sh makes of docker-compose.yml, without a Swarm."""

import json
import subprocess
from typing import Any

import pytest

from tests.compose.swarm.stack import ROOT, read, render
from tests.support.compose_project import NO_ENV_FILE
from tests.support.docker_engine import has_compose, missing
from tests.support.environment import users_environment

_AS_JSON = ["config", "--format", "json"]


@pytest.fixture(autouse=True)
def _compose() -> None:
    if not has_compose():
        missing("the docker command has no compose v2")


def _services(*files: str, text: str = "", **variables: str) -> dict[str, Any]:
    """The services of files that compose reads, or of a text."""
    named = [f"--file={file}" for file in files]
    run = subprocess.run(
        ["docker", "compose", *NO_ENV_FILE, *named, *_AS_JSON],
        cwd=ROOT,
        env={**users_environment(), **variables},
        input=text,
        text=True,
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)["services"]
    return found


def _stack(**variables: str) -> dict[str, Any]:
    return _services("-", text=read(render(**variables)))


def test_a_stack_runs_what_the_compose_file_runs() -> None:
    """Images, options, limits, the time to drain: whatever is set reaches both."""
    variables = {"TFLEET_MODE": "p2p", "TFLEET_MAX_QUEUE": "7", "WORKER_CPUS": "1.5", "WORKERS": "3"}
    stack, composed = _stack(**variables), _services("docker-compose.yml", **variables)
    assert stack.keys() == composed.keys()
    for name, service in composed.items():
        for key in (
            *("image", "entrypoint", "command", "user", "environment", "init"),
            *("read_only", "cap_drop", "stop_grace_period"),
        ):
            assert stack[name].get(key) == service.get(key), (name, key)
        assert stack[name]["deploy"]["resources"] == service["deploy"]["resources"]
    assert stack["worker"]["deploy"]["replicas"] == 3
    assert stack["worker"]["deploy"]["resources"]["limits"]["cpus"] == 1.5


@pytest.mark.parametrize("name", ["proxy", "worker"])
def test_updates_start_first_and_roll_back_on_failure(name: str) -> None:
    update = _stack()[name]["deploy"]["update_config"]
    assert (update["order"], update["parallelism"], update["failure_action"]) == (
        "start-first",
        1,
        "rollback",
    )


@pytest.mark.parametrize("name", ["consul", "proxy", "worker"])
def test_a_read_only_container_can_write_to_tmp(name: str) -> None:
    """Swarm ignores the `tmpfs:` of the compose file."""
    assert {"type": "tmpfs", "target": "/tmp"} in _stack()[name]["volumes"]


def test_the_old_consul_stops_before_the_new_one_starts() -> None:
    deploy = _stack()["consul"]["deploy"]
    assert deploy["replicas"] == 1
    assert "update_config" not in deploy, "Swarm's own: the old one stops first"


def test_an_address_that_swarm_would_ignore_is_refused() -> None:
    """Swarm publishes a port on all addresses of the machine."""
    with pytest.raises(AssertionError, match="published must be a integer"):
        read(render(PROXY_PUBLISH="127.0.0.1:12480"))


def test_a_new_key_version_is_a_new_secret() -> None:
    key = str(ROOT / "README.md")
    secrets = render("-p", "cats", TICKET_KEY_FILE=key, TICKET_KEY_VERSION="2").split("\nsecrets:\n")[1]
    assert "name: cats_ticket_key_2\n" in secrets
    assert f"file: {key}\n" in secrets
