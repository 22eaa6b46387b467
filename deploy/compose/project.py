"""Which compose project is meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tfleet.deploy.compose.container import Container
from tfleet.deploy.compose.engine import Engine

_WORKER_TITLE: Final = "tfleet worker"
_START: Final = ": start the fleet with `docker compose up`, or say with -p which project it is"


class NoSuchProjectError(Exception):
    """No project is meant, or more than one. The message is one line that names those there are."""


def workers_of(engine: Engine, *, named: str | None, service: str, folder: str) -> list[Container]:
    """The containers of its service, at least one. Raises NoSuchProjectError and EngineError."""
    found = engine.workers(service, named)
    try:
        return chosen(found, named=named, service=service, folder=folder)
    except NoSuchProjectError as error:
        if not found and (stack := engine.swarm_services(service)):
            raise NoSuchProjectError(
                f"{', '.join(stack)} is of a Swarm, which scales by itself: docker service scale {stack[0]}=N"
            ) from error
        raise


def chosen(found: Iterable[Container], *, named: str | None, service: str, folder: str) -> list[Container]:
    """Those of the project that is `named`; else of the one that was started in this folder, or else of the
    only one. By their numbers.

    Without a name only those count whose image is one of tfleet's workers: many a project has a service that
    is called `worker`. Raises NoSuchProjectError.
    """
    by_project: dict[str, list[Container]] = {}
    for container in sorted(found, key=lambda each: each.number):
        if named is not None or container.title == _WORKER_TITLE:
            by_project.setdefault(container.project, []).append(container)
    here = {name: of for name, of in by_project.items() if any(each.folder == folder for each in of)}
    meant = here or by_project
    if not meant:
        what = "a tfleet worker in a compose project" if named is None else f"a container of {named!r}"
        raise NoSuchProjectError(f"there is not {what} with the service {service!r} on this engine{_START}")
    if len(meant) > 1:
        names = ", ".join(sorted(meant))
        raise NoSuchProjectError(f"there are several compose projects, {names}: say which with -p")
    (containers,) = meant.values()
    return containers
