"""Asks Docker for this worker's published port.

The Docker engine is reached at DOCKER_HOST, or else at its usual socket. A process that may write to that
socket controls the whole machine, even where it is mounted read-only. It is safer to give the worker a socket
proxy that passes only this question: deploy/docker/docker_socket_proxy.py, or any other.
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
from tfleet.worker.address.container_id import own_container_ids

_EVERY_IPV4: Final = "0.0.0.0"  # noqa: S104 - only reported, no socket is bound to it
_SOCKET: Final = "unix:///var/run/docker.sock"
_MAX_CHARS: Final = 200
_TIMEOUT_S: Final = 1.0  # a heartbeat waits for several answers, and its check expires after ten seconds


class NotPublishedError(Exception):
    """The port is not published, or Docker can't be asked. The message is one line: why, and what to set."""


def binding(container: Mapping[str, object], port: int) -> Address | None:
    """The address on Docker's host that is published for a TCP port of the container, or None.

    `container` is the answer of `docker inspect`. The host is 0.0.0.0 if the port is published on all
    interfaces. An IPv4 address is preferred to one of IPv6.
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


def published_port(port: int, host: str = "", names: Iterable[str] | None = None) -> Address:
    """The published address of this port; with `host` instead of the one that Docker reports, if given.

    `names` are those by which Docker may know the container, by default this process's. Raises
    NotPublishedError.
    """
    engine = os.environ.get("DOCKER_HOST") or _SOCKET
    container = _container(engine, own_container_ids() if names is None else tuple(names))
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
        from docker.errors import APIError, DockerException, NotFound  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise NotPublishedError(
            f"the Python module {error.name} is missing: pip install 'tfleet[docker]'"
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
        why = " ".join(str(error.explanation or error).split())[:_MAX_CHARS]
        raise NotPublishedError(
            f"Docker at {engine} does not show this container: {why}; a socket proxy has to allow GET "
            "/version and GET /containers/ID/json"
        ) from error
    # The SDK raises connection errors of requests, and any error if something else than Docker answers.
    except (DockerException, OSError, LookupError, TypeError, ValueError) as error:
        raise NotPublishedError(f"what answers at {engine} is not Docker: {error}") from error
    raise NotPublishedError(
        f"Docker at {engine} does not run this worker's container (looked for {', '.join(names)}): set "
        "DOCKER_HOST to the engine that does"
    )


def _connect(engine: str) -> None:
    """Check that something listens there. Raises NotPublishedError, which says what to do.

    The SDK would fail as well, but it wraps the reason in three other errors.
    """
    parts = urlsplit(engine)
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_TIMEOUT_S)
                connection.connect(parts.path)
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
    except (OSError, ValueError) as error:  # ValueError: the port is not a number
        raise NotPublishedError(f"Docker does not answer at {engine}: {error}; see DOCKER_HOST") from error


def _group(path: str) -> int | str:
    try:
        return Path(path).stat().st_gid
    except OSError:
        return "GROUP"
