"""A compose project of a test: docker-compose.yml as it stands, under a name of its own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container

from tests.compose.proxy_status import Served
from tests.support.environment import users_environment

ROOT = Path(__file__).parents[2]
NO_ENV_FILE = ("--env-file", "/dev/null")
"""The .env of whoever runs the tests is not theirs."""

CONSUL_IMAGE = os.environ.get("CONSUL_IMAGE", "hashicorp/consul:1.8.7")
"""The one that is at hand, not the compose file's default: no test pulls anything."""

_UP_S = 180.0
_BUILD_S = 900.0


@dataclass(frozen=True)
class Project(Served):
    """A name and the variables that .env.example lists; what it starts is found by the engine's labels.

    `files` are those beside docker-compose.yml.
    """

    engine: docker.DockerClient
    name: str
    variables: Mapping[str, str]
    files: tuple[str, ...] = ()

    def compose(self, *arguments: str, stdin: bytes | None = None, timeout_s: float = _UP_S) -> str:
        """What `docker compose` prints to standard output. Fails with both of its streams."""
        run = subprocess.run(
            ["docker", "compose", *NO_ENV_FILE, *self._named, "-p", self.name, *arguments],
            cwd=ROOT,
            env={**users_environment(), **self.variables},
            input=stdin if stdin is not None else b"",
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        assert run.returncode == 0, (run.stdout + run.stderr).decode(errors="replace")[-3000:]
        return run.stdout.decode()

    @property
    def _named(self) -> list[str]:
        # Always by name: a docker-compose.override.yml of whoever runs the tests is not theirs, either.
        return [f"--file={file}" for file in ("docker-compose.yml", *self.files)]

    def up(self, *options: str, workers: int) -> None:
        """As the README has it."""
        self.compose("up", *options, "--wait", "--scale", f"worker={workers}", timeout_s=_BUILD_S)

    @property
    def url(self) -> str:
        """Where the proxy is published."""
        return f"http://{self.compose('port', 'proxy', '12480').strip()}"

    def containers(self, service: str) -> list[Container]:
        """Those of a service, stopped ones too, by their number."""
        labels = [f"com.docker.compose.project={self.name}", f"com.docker.compose.service={service}"]
        found = self.engine.containers.list(all=True, filters={"label": labels}, ignore_removed=True)
        return sorted(found, key=lambda each: int(each.labels["com.docker.compose.container-number"]))

    def lines(self, service: str, container: Container | None = None) -> list[dict[str, Any]]:
        """The log lines of a service, or of one container, read as JSON."""
        logs = [container.logs()] if container else [each.logs() for each in self.containers(service)]
        return [json.loads(line) for text in logs for line in text.decode().splitlines() if line.strip()]

    def worker_id(self, container: Container) -> str:
        """The name by which the fleet knows a worker, in its present life."""
        starts = [line for line in self.lines("worker", container) if line["event"] == "worker starting"]
        found: str = starts[-1]["worker"]
        return found

    def left(self) -> list[str]:
        """What of it the engine still has."""
        label = {"label": f"com.docker.compose.project={self.name}"}
        return [
            *(f"container {each.name}" for each in self.engine.containers.list(all=True, filters=label)),
            *(f"network {each.name}" for each in self.engine.networks.list(filters=label)),
            *(f"volume {each.name}" for each in self.engine.volumes.list(filters=label)),
        ]


@contextmanager
def project(engine: docker.DockerClient, *files: str, **variables: str) -> Iterator[Project]:
    """One with nothing started yet, published on any free port of loopback; nothing is left of it."""
    name = f"tfleet-test-{secrets.token_hex(4)}"
    running = Project(
        engine, name, {"PROXY_PUBLISH": "127.0.0.1:0", "CONSUL_IMAGE": CONSUL_IMAGE, **variables}, files
    )
    try:
        yield running
    finally:
        running.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
