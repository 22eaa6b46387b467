"""A real engine, and containers of compose's that are up in a moment."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import docker
import pytest

from tests.support.docker_engine import engine as client_of_engine
from tests.support.environment import users_environment
from tests.support.waiting import eventually_sync
from tfleet.deploy.compose.container import Container
from tfleet.deploy.compose.engine import Engine, EngineError, connected

pytestmark = pytest.mark.compose

# As much of what a compose file may say as an engine keeps with a container.
_FILE = """
services:
  worker:
    image: python:3.11-slim-bookworm
    command:
      - python
      - -c
      - |
        import signal, sys, threading
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print("up", flush=True)
        threading.Event().wait()
    init: true
    restart: unless-stopped
    read_only: true
    tmpfs: [/tmp]
    cap_drop: [ALL]
    volumes: [/of/nobody]
    ports: ["127.0.0.1::8000"]
    stop_grace_period: 7s
    environment: {A_VARIABLE: of mine}
    secrets: [key]
    networks:
      front: {aliases: [cats]}
      back: {}
    deploy:
      resources:
        limits: {cpus: "0.5", memory: 64m}
  deaf:
    image: python:3.11-slim-bookworm
    command: [sh, -c, "trap '' TERM; while :; do sleep 0.1; done"]
    stop_grace_period: 1s
networks: {front: {}, back: {}}
secrets: {key: {file: /dev/null}}
"""


@dataclass(frozen=True)
class Project:
    """One of compose's, and the engine as the module under test sees it."""

    name: str
    engine: Engine
    client: docker.DockerClient

    def compose(self, *arguments: str) -> str:
        run = subprocess.run(
            ["docker", "compose", "-p", self.name, "-f", "-", *arguments],
            input=_FILE,
            env=users_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    def workers(self, service: str = "worker") -> list[Container]:
        return sorted(self.engine.workers(service, self.name), key=lambda each: each.number)

    def document(self, container: Container) -> dict[str, Any]:
        found: dict[str, Any] = self.client.api.inspect_container(container.id)
        return found


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    with client_of_engine() as client, connected() as engine:
        running = Project(f"tfleet-test-{secrets.token_hex(4)}", engine, client)
        try:
            running.compose("up", "--detach", "--scale", "worker=1")
            yield running
        finally:
            running.compose("down", "--volumes", "--timeout", "1")


def test_a_copy_is_one_of_compose_s_own(project: Project) -> None:
    (one,) = project.workers()
    two = project.engine.create(one, 2)
    assert (two.state.status, two.name, two.number) == ("created", f"{project.name}-worker-2", 2)
    project.engine.start(two)
    assert _names(project, "ps", "--format", "json") >= {one.name, two.name}
    project.compose("up", "--detach", "--scale", "worker=2")
    assert [each.id for each in project.workers()] == [one.id, two.id], "compose finds nothing to do anew"
    project.compose("up", "--detach", "--scale", "worker=3")
    assert [each.number for each in project.workers()] == [1, 2, 3], "and it counts on from there"
    project.compose("up", "--detach", "--scale", "worker=1")
    assert [each.id for each in project.workers()] == [one.id]


def _names(project: Project, *arguments: str) -> set[str]:
    return {json.loads(line)["Name"] for line in project.compose(*arguments).splitlines()}


def test_a_copy_differs_only_in_what_belongs_to_one_container(project: Project) -> None:
    one = project.workers()[0]
    two = project.engine.create(one, 2)
    project.engine.start(two)
    ours, theirs = project.document(two), project.document(one)
    try:
        for part in ("Config", "HostConfig"):
            differing = {key for key in theirs[part] if ours[part][key] != theirs[part][key]}
            assert differing == ({"Hostname", "Labels"} if part == "Config" else set())
        assert ours["Config"]["Hostname"] == two.id[:12]
        assert len({_volume(ours), _volume(theirs)}) == 2
        for name, network in ours["NetworkSettings"]["Networks"].items():
            wanted = {two.name, "worker", two.id[:12], *(["cats"] if name.endswith("front") else [])}
            assert set(network["Aliases"]) == wanted
        assert len(project.workers()[1].addresses) == len(theirs["NetworkSettings"]["Networks"]) == 2
        assert project.workers()[1].stop_grace_s == 7
    finally:
        project.engine.remove(two)
    assert project.client.volumes.list(filters={"name": _volume(ours)}) == []


def _volume(document: dict[str, Any]) -> str:
    (name,) = (mount["Name"] for mount in document["Mounts"] if mount["Destination"] == "/of/nobody")
    return str(name)


def test_a_stopped_container_ends_and_is_not_restarted(project: Project) -> None:
    two = project.engine.create(project.workers()[0], 2)
    project.engine.start(two)
    eventually_sync(lambda: project.engine.last_line(two), wanted=lambda line: line == "up")
    assert project.engine.stop(two) == 0
    assert project.workers()[1].state.status == "exited", "in spite of restart: unless-stopped"
    project.engine.remove(two)
    project.engine.remove(two)
    assert project.engine.stop(two) is None, "it is gone, which is what was wanted"
    assert project.engine.last_line(two) == ""


def test_a_container_that_does_not_stop_is_killed(project: Project) -> None:
    (deaf,) = project.workers("deaf")
    assert project.engine.stop(deaf) == 137


def test_a_refusal_of_the_engine_is_one_line(project: Project) -> None:
    (one,) = project.workers()
    with pytest.raises(EngineError, match=r'^the Docker engine refuses: .*-worker-1" is already in use.*$'):
        project.engine.create(one, 1)


def test_only_the_projects_containers_are_found(project: Project) -> None:
    (one,) = project.workers()
    assert one in project.engine.workers("worker", None)
    assert project.engine.workers("worker", "another-project") == []


def test_containers_of_a_swarm_s_service_are_seen(project: Project) -> None:
    name = f"{project.name}_worker"
    label = {"com.docker.swarm.service.name": name}
    task = project.client.containers.run(
        "python:3.11-slim-bookworm", ["sleep", "60"], labels=label, detach=True
    )
    try:
        assert name in project.engine.swarm_services("worker")
        assert name not in project.engine.swarm_services("proxy")
    finally:
        task.remove(force=True)
