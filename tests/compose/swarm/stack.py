"""A Swarm stack of a test: what deploy/swarm/stack.sh makes, under a name of its own."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container
from docker.models.services import Service

from tests.compose.proxy_status import Served
from tests.support.compose_project import CONSUL_IMAGE, NO_ENV_FILE
from tests.support.environment import users_environment
from tests.support.waiting import eventually_sync

ROOT = Path(__file__).parents[3]
HAS_IPVS = Path("/proc/net/ip_vs").exists()
"""Swarm's virtual addresses, and with them its routing mesh, are made of it."""

_PORTS = "on_any_port.yml" if HAS_IPVS else "on_its_own_port.yml"
_COMMAND_S = 60.0
_REMOVED_S = 60.0


def render(*arguments: str, **variables: str) -> str:
    """What deploy/swarm/stack.sh prints with these arguments, and nothing else set."""
    return _run(["deploy/swarm/stack.sh", *NO_ENV_FILE, *arguments], variables)


def read(stack_file: str) -> str:
    """What `docker stack` understands of it. Fails where it does not."""
    return _run(["docker", "stack", "config", "-c", "-"], {}, stack_file)


def _run(command: list[str], variables: Mapping[str, str], stdin: str = "") -> str:
    run = subprocess.run(
        command,
        cwd=ROOT,
        env={**users_environment(), **variables},
        input=stdin,
        text=True,
        capture_output=True,
        timeout=_COMMAND_S,
        check=False,
    )
    assert run.returncode == 0, (run.stdout + run.stderr)[-3000:]
    return run.stdout


@dataclass(frozen=True)
class Stack(Served):
    """A name and the variables that .env.example lists."""

    engine: docker.DockerClient
    name: str
    variables: Mapping[str, str]

    def deploy(self, **changed: str) -> None:
        """Start it, or have it updated, with some of its variables changed."""
        ports = Path(__file__).with_name(_PORTS)
        rendered = render("-p", self.name, "-f", str(ports), **{**self.variables, **changed})
        # There is no registry to ask for what the images' names stand for.
        _run(["docker", "stack", "deploy", "--resolve-image", "never", "-c", "-", self.name], {}, rendered)

    @property
    def url(self) -> str:
        """Where the proxy is published; as soon as it is ready."""
        ports = eventually_sync(self._published, timeout_s=_COMMAND_S)
        return f"http://127.0.0.1:{ports[0]['PublishedPort']}"

    def _published(self) -> list[dict[str, Any]]:
        service = self.service("proxy")
        running = [task for task in service.tasks() if task["Status"]["State"] == "running"]
        if HAS_IPVS:
            return list(service.attrs["Endpoint"].get("Ports", [])) if running else []
        return [port for task in running for port in task["Status"].get("PortStatus", {}).get("Ports", [])]

    def service(self, name: str) -> Service:
        """A service as it is now."""
        return self.engine.services.get(f"{self.name}_{name}")

    def update(self, name: str) -> str:
        """How far a service's last update, or its end, has come; empty before the first one."""
        return str((self.service(name).attrs.get("UpdateStatus") or {}).get("State", ""))

    def containers(self, service: str) -> list[Container]:
        """Those of a service that run."""
        return self._containers(f"com.docker.swarm.service.name={self.name}_{service}")

    def _containers(self, label: str, *, ended: bool = False) -> list[Container]:
        # Some go while they are listed.
        found = self.engine.containers.list(all=ended, filters={"label": label}, ignore_removed=True)
        return list(found)

    def subnet(self) -> str:
        """Of the network that its services share."""
        network = self.engine.networks.get(f"{self.name}_default")
        return str(network.attrs["IPAM"]["Config"][0]["Subnet"])

    def left(self) -> list[str]:
        """What of it the engine still has."""
        mark = f"com.docker.stack.namespace={self.name}"
        label = {"label": mark}
        return [
            *(f"service {each.name}" for each in self.engine.services.list(filters=label)),
            *(f"container {each.name}" for each in self._containers(mark, ended=True)),
            *(f"network {each.name}" for each in self.engine.networks.list(filters=label)),
            *(f"secret {each.name}" for each in self.engine.secrets.list(filters=label)),
        ]

    def remove(self) -> list[str]:
        """Remove it and return what is left, when nothing is, or after a minute."""
        _run(["docker", "stack", "rm", self.name], {})
        return eventually_sync(self.left, wanted=lambda found: not found, timeout_s=_REMOVED_S)


@contextmanager
def stack(engine: docker.DockerClient, **variables: str) -> Iterator[Stack]:
    """One with nothing deployed yet; nothing is left of it."""
    named = {"CONSUL_IMAGE": CONSUL_IMAGE, **variables}
    running = Stack(engine, f"tfleet-test-{secrets.token_hex(4)}", named)
    try:
        yield running
    finally:
        running.remove()
