"""A proxy of the Docker engine's socket that passes on only requests for published ports.

Start it with `python -m tfleet.deploy.docker.docker_socket_proxy`.

Workers ask the engine where their port is published. A process that can use its socket can do anything to
the machine, and read every container's secrets from its environment; a read-only mount does not prevent that.
So only this process has the socket. It answers the containers in its network, and only these requests:

- GET /version: the versions of the engine's API.
- GET /containers/ID/json: id, name and ports of one container.
- GET /readyz: whether the engine answers, for the health check.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import aiohttp
import structlog
from aiohttp import web

from tfleet.runtime import log

_SOCKET: Final = "/var/run/docker.sock"
_PORT: Final = 2375
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0)
_VERSIONS: Final = ("ApiVersion", "MinAPIVersion")
_OF_A_CONTAINER: Final = ("Id", "Name", "NetworkSettings")
_ENGINE: Final = web.AppKey("engine", aiohttp.ClientSession)


def make_socket_proxy(socket_path: str = _SOCKET) -> web.Application:
    """The proxy's application. It opens the engine's socket at the first request."""
    app = web.Application()
    app.cleanup_ctx.append(lambda app: _engine(app, socket_path))
    for version in ("", "/v{version:[0-9.]+}"):
        app.router.add_get(f"{version}/version", _show_version)
        app.router.add_get(f"{version}/containers/{{id:[A-Za-z0-9_.-]+}}/json", _show_container)
    app.router.add_get("/readyz", _show_readiness)
    return app


async def _engine(app: web.Application, socket_path: str) -> AsyncIterator[None]:
    connector = aiohttp.UnixConnector(socket_path)
    async with aiohttp.ClientSession("http://engine", connector=connector, timeout=_TIMEOUT) as session:
        app[_ENGINE] = session
        yield


async def _show_version(request: web.Request) -> web.Response:
    return _shown(*await _asked(request, "/version"), _VERSIONS)


async def _show_container(request: web.Request) -> web.Response:
    status, document = await _asked(request, f"/containers/{request.match_info['id']}/json")
    ports = (document.get("NetworkSettings") or {}).get("Ports")
    return _shown(status, {**document, "NetworkSettings": {"Ports": ports}}, _OF_A_CONTAINER)


async def _show_readiness(request: web.Request) -> web.Response:
    status, document = await _asked(request, "/version")
    return web.Response(status=status, text=f"{document.get('message', 'ready')}\n")


def _shown(status: int, document: Mapping[str, Any], keys: tuple[str, ...]) -> web.Response:
    """These keys, or the message where there is an error."""
    if status != web.HTTPOk.status_code:
        keys = ("message",)
    return web.json_response({key: document.get(key) for key in keys}, status=status)


async def _asked(request: web.Request, path: str) -> tuple[int, dict[str, Any]]:
    """Return the engine's answer; 502 if it does not answer."""
    try:
        async with request.app[_ENGINE].get(path) as answer:
            document = await answer.json()
            return answer.status, document if isinstance(document, dict) else {}
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        why = f"the socket proxy can't reach the Docker engine at {_SOCKET}: {error or type(error).__name__}"
        return web.HTTPBadGateway.status_code, {"message": why}


if __name__ == "__main__":
    log.configure()
    listens_on = int(os.environ.get("TFLEET_PORT", _PORT))
    structlog.get_logger().info("docker socket proxy listening", port=listens_on)
    web.run_app(make_socket_proxy(), port=listens_on, access_log=None, print=None)
