"""The Docker engine, as far as workers are started and stopped on it. Its calls block.

A worker is stopped as `docker stop` does it. SIGTERM is a drain, as `tfleet drain` is: nothing is lost, it
needs no way from here to the worker, and the engine knows that the end was wanted. A worker that was told
by `POST /drain` would be started again by `restart: unless-stopped` as soon as it has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import requests

from tfleet.deploy.compose.clone import ContainerSpec, order
from tfleet.deploy.compose.container import ONE_OFF, PROJECT, SERVICE, Container, read_container
from tfleet.runtime.docker_client import engine_client

if TYPE_CHECKING:
    from docker import DockerClient

AT_ONCE: Final = 32
"""How many calls may be under way at once."""

_TIMEOUT_S: Final = 60
_SWARM_SERVICE: Final = "com.docker.swarm.service.name"


class EngineError(Exception):
    """The engine does not answer, or does not do it. The message is one line."""


class Engine:
    """A connection to it, as DOCKER_HOST, DOCKER_CONTEXT and the like say where it is."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client

    def workers(self, service: str, project: str | None) -> list[Container]:
        """Those of such a service, in one project or in all, stopped ones too. Raises EngineError."""
        labels = [f"{SERVICE}={service}", f"{ONE_OFF}=False"]
        if project is not None:
            labels.append(f"{PROJECT}={project}")
        with _told():
            found = self._client.containers.list(all=True, filters={"label": labels}, ignore_removed=True)
            return [read_container(each.attrs) for each in found]

    def swarm_services(self, service: str) -> list[str]:
        """Those of Swarm stacks that are called so and have a container here. Raises EngineError."""
        with _told():
            found = self._client.api.containers(filters={"label": _SWARM_SERVICE})
        names = {each["Labels"][_SWARM_SERVICE] for each in found}
        return sorted(name for name in names if name.endswith(f"_{service}"))

    def make(self, pattern: Container, number: int) -> Container:
        """A container like the other one, not started yet. Raises EngineError and NotCopiableError."""
        with _told():
            document = self._client.api.inspect_container(pattern.id)
            try:
                current = self._client.api.inspect_image(document["Config"]["Image"])["Id"]
            except (
                _errors().NotFound
            ):  # its name was taken away; the image itself is there as long as somebody runs it
                current = None
            wanted = order(document, number, image_is_current=current == document["Image"])
            made = self._client.api.create_container_from_config(dict(wanted.body), wanted.name)["Id"]
            try:
                self._connect(made, wanted)
                return read_container(self._client.api.inspect_container(made))
            except BaseException:
                self._client.api.remove_container(made, v=True, force=True)
                raise

    def start(self, container: Container) -> None:
        """Raises EngineError."""
        with _told():
            self._client.api.start(container.id)

    def stop(self, container: Container) -> int | None:
        """Ask it to end, and kill it when its grace is over. Its exit code, None where it is gone already.

        Raises EngineError.
        """
        with _told():
            try:
                self._client.api.stop(container.id, timeout=container.stop_grace_s)
                code: int = self._client.api.inspect_container(container.id)["State"]["ExitCode"]
            except _errors().NotFound:
                return None
            return code

    def remove(self, container: Container) -> None:
        """With its volumes that have no name. One that is gone already is no error. Raises EngineError."""
        with _told():
            try:
                self._client.api.remove_container(container.id, v=True, force=True)
            except _errors().NotFound:
                return

    def last_line(self, container: Container) -> str:
        """The last thing that it said, if it is known. Raises EngineError."""
        with _told():
            try:
                said: bytes = self._client.api.logs(container.id, tail=1)
            except _errors().APIError:  # gone, or its logs go where nobody can read them
                return ""
        return said.decode(errors="replace").strip()

    def _connect(self, made: str, wanted: ContainerSpec) -> None:
        for network, endpoint in wanted.networks.items():
            self._client.api.connect_container_to_network(
                made,
                network,
                aliases=endpoint["Aliases"],
                links=endpoint.get("Links"),
                driver_opt=endpoint.get("DriverOpts"),
            )


@contextmanager
def connected() -> Iterator[Engine]:
    """Raises EngineError where none answers."""
    with ExitStack() as stack:
        with _told():
            try:
                client = stack.enter_context(engine_client(timeout_s=_TIMEOUT_S, max_pool_size=AT_ONCE))
            except (LookupError, TypeError, ValueError) as error:
                raise _errors().DockerException("what answers is no engine") from error
        yield Engine(client)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what the SDK raises into one line."""
    try:
        yield
    except _errors().APIError as error:
        raise EngineError(f"the Docker engine refuses: {_line(error.explanation or error)}") from error
    except (_errors().DockerException, requests.RequestException) as error:
        raise EngineError(f"no Docker engine answers ({_line(_cause(error))}){_hint(error)}") from error


def _errors() -> Any:
    """The SDK's own. It is an extra, and `--help` does without."""
    from docker import errors  # noqa: PLC0415 - see above

    return errors


def _cause(error: BaseException) -> BaseException:
    """The first error of the operating system behind it, which says more than what was made of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause
        cause = cause.__cause__ or cause.__context__
    return error


def _hint(error: BaseException) -> str:
    if isinstance(_cause(error), PermissionError):
        return ": who uses it has to be root or in the group docker"
    return ": start it, or say in DOCKER_HOST where it is"


def _line(reason: object) -> str:
    text = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    return " ".join(text.split())
