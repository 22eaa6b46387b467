"""Find the compose project whose workers a command scales."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tfleet.deploy.compose.container import Container
from tfleet.deploy.compose.engine import Engine

_WORKER_TITLE: Final = "tfleet worker"
_START: Final = ": start the fleet with `docker compose up`, or name its project with -p"


class NoSuchProjectError(Exception):
    """There is no such project, or more than one. The message is one line that names those that exist."""


def workers_of(engine: Engine, *, named: str | None, service: str, folder: str) -> list[Container]:
    """The containers of the project's service, at least one. Raises NoSuchProjectError and EngineError."""
    found = engine.workers(service, named)
    try:
        return containers_of_project(found, named=named, service=service, folder=folder)
    except NoSuchProjectError as error:
        if not found and (stack := engine.swarm_services(service)):
            raise NoSuchProjectError(
                f"{', '.join(stack)} belongs to a Swarm: scale it with docker service scale {stack[0]}=N"
            ) from error
        raise


def containers_of_project(
    found: Iterable[Container], *, named: str | None, service: str, folder: str
) -> list[Container]:
    """The containers of the project `named`, or else of the project started in `folder`, or else of the only
    project; sorted by number.

    Without a name only containers with tfleet's worker image count, because many projects have a service
    called `worker`. Raises NoSuchProjectError.
    """
    by_project: dict[str, list[Container]] = {}
    for container in sorted(found, key=lambda each: each.number):
        if named is not None or container.labels.title == _WORKER_TITLE:
            by_project.setdefault(container.labels.project, []).append(container)
    here = {
        name: members
        for name, members in by_project.items()
        if any(each.labels.folder == folder for each in members)
    }
    candidates = here or by_project
    if not candidates:
        what = "no tfleet worker in a compose project" if named is None else f"no container of {named!r}"
        raise NoSuchProjectError(f"there is {what} with the service {service!r} on this engine{_START}")
    if len(candidates) > 1:
        names = ", ".join(sorted(candidates))
        raise NoSuchProjectError(f"there are several compose projects, {names}: choose one with -p")
    (containers,) = candidates.values()
    return containers
