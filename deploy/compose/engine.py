"""Create, start, stop and list workers with the Docker engine. All calls block.

A worker is stopped as by `docker stop`. SIGTERM drains it like `tfleet drain`: no request is lost, no
connection to the worker is needed, and Docker knows that the end was intended. After `POST /drain` Docker
would start the worker again, because of `restart: unless-stopped`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import requests

from tfleet.deploy.compose.clone import ContainerSpec, clone_spec
from tfleet.deploy.compose.container import ONE_OFF, PROJECT, SERVICE, Container, read_container
from tfleet.runtime.docker_client import engine_client

if TYPE_CHECKING:
    from docker import DockerClient

AT_ONCE: Final = 32
"""The number of concurrent calls."""

_TIMEOUT_S: Final = 60
_SWARM_SERVICE: Final = "com.docker.swarm.service.name"


class EngineError(Exception):
    """Docker does not answer, or refuses. The message is one line."""


class Engine:
    """A connection to the engine that DOCKER_HOST, DOCKER_CONTEXT and so on name."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client

    def workers(self, service: str, project: str | None) -> list[Container]:
        """The containers of a service, also stopped ones, in one project or in all. Raises EngineError."""
        labels = [f"{SERVICE}={service}", f"{ONE_OFF}=False"]
        if project is not None:
            labels.append(f"{PROJECT}={project}")
        with _sdk_errors():
            found = self._client.containers.list(all=True, filters={"label": labels}, ignore_removed=True)
            return [read_container(each.attrs) for each in found]

    def swarm_services(self, service: str) -> list[str]:
        """The Swarm services with this name and a container on this machine. Raises EngineError."""
        with _sdk_errors():
            found = self._client.api.containers(filters={"label": _SWARM_SERVICE})
        names = {each["Labels"][_SWARM_SERVICE] for each in found}
        return sorted(name for name in names if name.endswith(f"_{service}"))

    def create(self, pattern: Container, number: int) -> Container:
        """Create a copy of a container, without starting it. Raises EngineError and NotCopiableError."""
        with _sdk_errors():
            document = self._client.api.inspect_container(pattern.id)
            try:
                current = self._client.api.inspect_image(document["Config"]["Image"])["Id"]
            except _errors().NotFound:
                # The image lost its name, but it exists as long as a container uses it.
                current = None
            spec = clone_spec(document, number, image_is_current=current == document["Image"])
            created = self._client.api.create_container_from_config(dict(spec.body), spec.name)["Id"]
            try:
                self._connect(created, spec)
                return read_container(self._client.api.inspect_container(created))
            except BaseException:
                # A container without its networks would count as a worker that can be started.
                self._client.api.remove_container(created, v=True, force=True)
                raise

    def start(self, container: Container) -> None:
        """Start a container. Raises EngineError."""
        with _sdk_errors():
            self._client.api.start(container.id)

    def stop(self, container: Container) -> int | None:
        """Send SIGTERM, and SIGKILL after its stop grace. Returns the exit code; None if the container is
        gone.

        Raises EngineError.
        """
        with _sdk_errors():
            try:
                self._client.api.stop(container.id, timeout=container.stop_grace_s)
                code: int = self._client.api.inspect_container(container.id)["State"]["ExitCode"]
            except _errors().NotFound:
                return None
            return code

    def remove(self, container: Container) -> None:
        """Remove a container and its anonymous volumes; no error if it is gone already. Raises
        EngineError.
        """
        with _sdk_errors():
            try:
                self._client.api.remove_container(container.id, v=True, force=True)
            except _errors().NotFound:
                return

    def last_line(self, container: Container) -> str:
        """The last line of its log; empty if that is unknown. Raises EngineError."""
        with _sdk_errors():
            try:
                line: bytes = self._client.api.logs(container.id, tail=1)
            except _errors().APIError:  # it is gone, or its logging driver does not support reading
                return ""
        return line.decode(errors="replace").strip()

    def _connect(self, created: str, spec: ContainerSpec) -> None:
        for network, endpoint in spec.networks.items():
            self._client.api.connect_container_to_network(
                created,
                network,
                aliases=endpoint["Aliases"],
                links=endpoint.get("Links"),
                driver_opt=endpoint.get("DriverOpts"),
            )


@contextmanager
def connected() -> Iterator[Engine]:
    """Connect to the engine for the length of the block. Raises EngineError."""
    with ExitStack() as stack:
        with _sdk_errors():
            try:
                client = stack.enter_context(engine_client(timeout_s=_TIMEOUT_S, max_pool_size=AT_ONCE))
            except (LookupError, TypeError, ValueError) as error:
                raise _errors().DockerException("what answers is not Docker") from error
        yield Engine(client)


@contextmanager
def _sdk_errors() -> Iterator[None]:
    """Turn the SDK's errors into an EngineError of one line."""
    try:
        yield
    except _errors().APIError as error:
        raise EngineError(f"the Docker engine refuses: {_line(error.explanation or error)}") from error
    except (_errors().DockerException, requests.RequestException) as error:
        raise EngineError(f"no Docker engine answers ({_line(_cause(error))}){_hint(error)}") from error


def _errors() -> Any:
    """The SDK's module of errors, imported late: it is an extra that `--help` does not need."""
    from docker import errors  # noqa: PLC0415 - see above

    return errors


def _cause(error: BaseException) -> BaseException:
    """The operating system's error behind an SDK error: it says more than the errors around it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause
        cause = cause.__cause__ or cause.__context__
    return error


def _hint(error: BaseException) -> str:
    if isinstance(_cause(error), PermissionError):
        return ": run this as root or as a member of the group docker"
    return ": start it, or set DOCKER_HOST to its address"


def _line(reason: object) -> str:
    text = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    return " ".join(text.split())
