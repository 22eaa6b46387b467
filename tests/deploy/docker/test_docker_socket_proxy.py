"""What the Docker socket proxy shows of an engine; the engine is a stand-in behind a socket file."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import docker
import pytest
from aiohttp import web
from docker.errors import APIError, NotFound

from tfleet.contract.address import Address
from tfleet.deploy.docker.docker_socket_proxy import make_socket_proxy

ID = "3f" * 32
PORTS = {"8000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}]}
CONTAINER = {
    "Id": ID,
    "Name": "/fleet-worker-1",
    "Config": {"Env": ["CONSUL_HTTP_TOKEN=secret"]},
    "NetworkSettings": {"Ports": PORTS, "Networks": {"fleet": {"IPAddress": "172.18.0.5"}}},
}


async def _engine(request: web.Request) -> web.Response:
    if request.path == "/version":
        return web.json_response({"ApiVersion": "1.41", "MinAPIVersion": "1.12", "KernelVersion": "secret"})
    if request.path == f"/containers/{ID}/json":
        return web.json_response(CONTAINER)
    if request.path.startswith("/containers/") and request.path.endswith("/json"):
        return web.json_response({"message": "No such container"}, status=404)
    return web.json_response({"secret": request.path})


@contextlib.asynccontextmanager
async def _listening(app: web.Application, socket_path: Path | None = None) -> AsyncIterator[Address]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        if socket_path is not None:
            await web.UnixSite(runner, str(socket_path)).start()
            yield Address("nowhere", 1)
        else:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield Address(*runner.addresses[0])
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _socket_proxy(folder: Path, *, engine: bool = True) -> AsyncIterator[Address]:
    async with contextlib.AsyncExitStack() as stack:
        if engine:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", _engine)
            await stack.enter_async_context(_listening(app, folder / "docker.sock"))
        yield await stack.enter_async_context(_listening(make_socket_proxy(str(folder / "docker.sock"))))


async def _said(proxy: Address, path: str, method: str = "GET") -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.request(method, proxy.url + path) as answer:
        return answer.status, await answer.text()


async def test_the_docker_sdk_sees_ports_and_nothing_else(tmp_path: Path) -> None:
    async with _socket_proxy(tmp_path) as proxy:

        def inspected(name: str) -> dict[str, Any]:
            with contextlib.closing(docker.DockerClient(f"tcp://{proxy}")) as client:
                found: dict[str, Any] = client.api.inspect_container(name)
                return found

        assert await asyncio.to_thread(inspected, ID) == {
            "Id": ID,
            "Name": "/fleet-worker-1",
            "NetworkSettings": {"Ports": PORTS},
        }
        with pytest.raises(NotFound, match="No such container"):
            await asyncio.to_thread(inspected, "another")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/containers/json"),
        ("GET", "/info"),
        ("GET", f"/containers/{ID}/logs"),
        ("GET", f"/containers/{ID}%2F..%2F..%2Fimages/json"),
        ("GET", "/containers/../images/json"),
        ("POST", f"/containers/{ID}/stop"),
        ("POST", "/v1.41/containers/create"),
        ("DELETE", f"/containers/{ID}"),
    ],
)
async def test_other_requests_get_404_or_405(tmp_path: Path, method: str, path: str) -> None:
    async with _socket_proxy(tmp_path) as proxy:
        status, text = await _said(proxy, path, method)
    assert status in {404, 405}
    assert "secret" not in text


async def test_readyz_is_502_with_a_reason_without_an_engine(tmp_path: Path) -> None:
    async with _socket_proxy(tmp_path) as proxy:
        assert await _said(proxy, "/readyz") == (200, "ready\n")
    (folder := tmp_path / "empty").mkdir()
    async with _socket_proxy(folder, engine=False) as proxy:
        status, text = await _said(proxy, "/readyz")
        assert status == 502
        assert "can't reach the Docker engine" in text
        with pytest.raises(APIError, match="can't reach the Docker engine"):
            await asyncio.to_thread(_version, proxy)


def _version(proxy: Address) -> object:
    with contextlib.closing(docker.DockerClient(f"tcp://{proxy}", version="1.24")) as client:
        return client.api.version()
