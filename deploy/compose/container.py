"""A worker's container, read from what `docker inspect` shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

PROJECT: Final = "com.docker.compose.project"
SERVICE: Final = "com.docker.compose.service"
NUMBER: Final = "com.docker.compose.container-number"
ONE_OFF: Final = "com.docker.compose.oneoff"
FOLDER: Final = "com.docker.compose.project.working_dir"
TITLE: Final = "org.opencontainers.image.title"
"""The title that deploy/docker/worker.Dockerfile gives to its image; images built on it inherit the title."""

_ALIVE: Final = frozenset({"running", "restarting", "paused"})
_STOP_GRACE_S: Final = 30
"""WORKER_STOP_GRACE, for a container without a stop time-out: Docker's default, 10 s, is shorter than a
drain.
"""


@dataclass(frozen=True, slots=True)
class ComposeLabels:
    """Where a container comes from: its compose project, the folder that was started from, its image's
    title.
    """

    project: str
    folder: str
    title: str


@dataclass(frozen=True, slots=True)
class ContainerState:
    """Docker's words for a container's `status` and `health` (`none` without a health check)."""

    status: str
    health: str = "none"
    exit_code: int = 0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Container:
    """One container of the service, running or not.

    `addresses` are those in its networks; there are none while it does not run. `stop_grace_s` is how many
    seconds it may take to end before it is killed.
    """

    id: str
    name: str
    number: int
    labels: ComposeLabels
    state: ContainerState
    addresses: frozenset[str] = frozenset()
    stop_grace_s: int = _STOP_GRACE_S

    @property
    def alive(self) -> bool:
        """Whether it counts as a worker: it runs or is about to."""
        return self.state.status in _ALIVE


def read_container(document: Mapping[str, Any]) -> Container:
    """Read what `docker inspect` shows of a container of a compose project."""
    config, state = document["Config"], document["State"]
    labels = config.get("Labels") or {}
    networks = document["NetworkSettings"].get("Networks") or {}
    addresses = {network.get(key) for network in networks.values() for key in _ADDRESSES}
    grace_s = config.get("StopTimeout")
    return Container(
        id=document["Id"],
        name=document["Name"].removeprefix("/"),
        number=int(labels[NUMBER]),
        labels=ComposeLabels(labels[PROJECT], labels.get(FOLDER, ""), labels.get(TITLE, "")),
        state=ContainerState(
            status=state["Status"],
            health=(state.get("Health") or {}).get("Status", "none"),
            exit_code=state.get("ExitCode", 0),
            restarts=document.get("RestartCount", 0),
        ),
        addresses=frozenset(filter(None, addresses)),
        stop_grace_s=_STOP_GRACE_S if grace_s is None else grace_s,
    )


_ADDRESSES: Final = ("IPAddress", "GlobalIPv6Address")
