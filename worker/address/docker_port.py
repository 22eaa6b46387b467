"""What keeps a worker from knowing its published port.

Where the engine has published a container's port, as `docker inspect` has it.

Asks the engine, by Docker's own SDK, where this worker's port is published.

It is asked where DOCKER_HOST says, else at its usual socket. Who may write to that socket may do anything to
the machine, however it is mounted. So a proxy that lets nothing but that question through is the better way:
deploy/images/docker_socket_proxy.py, or any other socket proxy.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tfleet.contract.address import Address, address_of, is_unspecified
from tfleet.runtime.docker_client import engine_client
from tfleet.worker.address.container_id import own_names


class NotPublishedError(Exception):
    """There is none, or it can't be asked for. The message is one line that says why and what to set."""


_EVERY_IPV4 = "0.0.0.0"  # noqa: S104 - told, not bound to


def binding(container: Mapping[str, object], port: int) -> Address | None:
    """The address of the engine's machine that leads to this TCP port of the container, if there is one.

    Its host is 0.0.0.0 where that is every interface. An IPv4 address is taken before one of IPv6.
    """
    settings = container.get("NetworkSettings")
    ports = settings.get("Ports") if isinstance(settings, Mapping) else None
    bindings = ports.get(f"{port}/tcp") if isinstance(ports, Mapping) else None
    if not isinstance(bindings, Sequence):
        return None
    found = [address for each in bindings if (address := _address(each)) is not None]
    return min(found, key=lambda address: ":" in address.host, default=None)


def _address(bound: object) -> Address | None:
    if not isinstance(bound, Mapping):
        return None
    host, port = str(bound.get("HostIp") or ""), str(bound.get("HostPort") or "")
    if not port.isdecimal():
        return None
    return address_of(_EVERY_IPV4 if is_unspecified(host) else host, int(port))


_SOCKET: Final = "unix:///var/run/docker.sock"
_MOST_CHARS: Final = 200
_TIMEOUT_S: Final = 1.0  # a heartbeat may wait for several answers, and a check lives for ten seconds


def published_port(port: int, host: str = "", names: Iterable[str] | None = None) -> Address:
    """The address that leads to this port from outside: the host given, else the one that it is bound to.

    `names` are those by which the engine may know the container. Raises NotPublishedError.
    """
    engine = os.environ.get("DOCKER_HOST") or _SOCKET
    container = _container(engine, own_names() if names is None else tuple(names))
    found = binding(container, port)
    if found is None:
        name = str(container.get("Name", "")).lstrip("/") or str(container.get("Id", ""))[:12]
        raise NotPublishedError(
            f'port {port} of the container {name} is not published: add ports: ["{port}"] to the service, or '
            f"-p {port} to docker run"
        )
    return Address(host, found.port) if host else found


def _container(engine: str, names: tuple[str, ...]) -> Mapping[str, Any]:
    try:
        from docker.errors import APIError, DockerException, NotFound  # noqa: PLC0415 - only who asks needs it
    except ModuleNotFoundError as error:
        raise NotPublishedError(
            f"there is no module {error.name}, by which Docker is asked: pip install 'tfleet[docker]'"
        ) from error
    _connect(engine)
    try:
        with engine_client(timeout_s=_TIMEOUT_S) as client:
            for name in names:
                try:
                    found: Mapping[str, Any] = client.api.inspect_container(name)
                except NotFound:
                    continue
                return found
    except APIError as error:
        why = " ".join(str(error.explanation or error).split())[:_MOST_CHARS]
        raise NotPublishedError(
            f"the engine at {engine} does not show this container: {why}; a socket "
            "proxy has to let GET /version and /containers/ID/json pass"
        ) from error
    # Its errors of the connection are those of requests; and what answers may be no engine.
    except (DockerException, OSError, LookupError, TypeError, ValueError) as error:
        raise NotPublishedError(f"the engine at {engine} does not answer as Docker does: {error}") from error
    raise NotPublishedError(
        f"the engine at {engine} has no container of this worker, which may be called {', '.join(names)}: it "
        "has to be the one that runs it, see DOCKER_HOST"
    )


def _connect(engine: str) -> None:
    """Whether anybody is there. The SDK says it, too, but hides the reason in three errors around it."""
    parts = urlsplit(engine)
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(_TIMEOUT_S)
                line.connect(parts.path)
        elif parts.scheme in {"tcp", "http", "https"} and parts.hostname:
            socket.create_connection((parts.hostname, parts.port or 2375), _TIMEOUT_S).close()
    except FileNotFoundError as error:
        raise NotPublishedError(
            f"there is no Docker socket at {parts.path}: mount it (-v {parts.path}:{parts.path}:ro), or name "
            "a socket proxy with DOCKER_HOST=tcp://HOST:2375"
        ) from error
    except PermissionError as error:
        group = _group(parts.path)
        raise NotPublishedError(
            f"user {os.getuid()} may not use {parts.path}, which belongs to group {group}: add the container "
            f'to it (group_add: ["{group}"] in compose, --group-add {group}), or name a socket proxy with '
            "DOCKER_HOST=tcp://HOST:2375"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a port that is none
        raise NotPublishedError(f"no Docker engine answers at {engine}: {error}; see DOCKER_HOST") from error


def _group(path: str) -> int | str:
    try:
        return Path(path).stat().st_gid
    except OSError:
        return "GROUP"
