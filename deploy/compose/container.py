"""A worker's container, as the engine describes it."""

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
"""What deploy/images/worker.Dockerfile says of its image, and an image that is built on it."""

_ALIVE: Final = frozenset({"running", "restarting", "paused"})
_STOP_GRACE_S: Final = 30
"""WORKER_STOP_GRACE, for a container that has none of its own: the engine's 10 s are less than a drain."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container of the service, whatever has become of it.

    `state` is the engine's word for it, `health` too: `none` where nobody looks. `addresses` are those in its
    networks, none while it does not run. `stop_grace_s` is how long it may take to end before it is killed.
    """

    id: str
    name: str
    number: int
    project: str
    folder: str
    title: str
    state: str
    health: str = "none"
    exit_code: int = 0
    restarts: int = 0
    addresses: frozenset[str] = frozenset()
    stop_grace_s: int = _STOP_GRACE_S

    @property
    def alive(self) -> bool:
        """Whether it is one of those that are wanted: it runs, or is about to."""
        return self.state in _ALIVE


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
        project=labels[PROJECT],
        folder=labels.get(FOLDER, ""),
        title=labels.get(TITLE, ""),
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status", "none"),
        exit_code=state.get("ExitCode", 0),
        restarts=document.get("RestartCount", 0),
        addresses=frozenset(filter(None, addresses)),
        stop_grace_s=_STOP_GRACE_S if grace_s is None else grace_s,
    )


_ADDRESSES: Final = ("IPAddress", "GlobalIPv6Address")
