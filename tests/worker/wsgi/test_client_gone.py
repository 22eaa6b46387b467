"""An application can ask, while it works, whether its client has left."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.waiting import eventually_sync
from tfleet.worker.wsgi.environ import CLIENT_GONE
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.server import WsgiServer

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nimage"


class Asking:
    """Works on a request until it may answer. Meanwhile the test asks what the application can ask."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.gone: Callable[[], bool] | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.gone = environ[CLIENT_GONE]
        assert self.may_answer.wait(20)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    def client_gone(self) -> bool | None:
        """None while no request has come."""
        return None if self.gone is None else self.gone()


@pytest.fixture
def app() -> Iterator[Asking]:
    app = Asking()
    yield app
    app.may_answer.set()


@pytest.fixture
def server(app: Asking) -> Iterator[WsgiServer]:
    server = WsgiServer(host="127.0.0.1", port=0, threads=1, body_limits=BodyLimits(100))
    server.start(app)
    yield server
    app.may_answer.set()
    server.close(timeout_s=5)


def test_a_client_that_waits_has_not_left(server: WsgiServer, app: Asking) -> None:
    with socket.create_connection((server.address.host, server.address.port), timeout=20) as client:
        client.sendall(POST)
        eventually_sync(app.client_gone, wanted=lambda gone: gone is not None)
        assert app.client_gone() is False
        app.may_answer.set()
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_a_client_that_closes_its_connection_has_left(server: WsgiServer, app: Asking) -> None:
    with socket.create_connection((server.address.host, server.address.port), timeout=20) as client:
        client.sendall(POST)
        eventually_sync(app.client_gone, wanted=lambda gone: gone is not None)
    assert eventually_sync(app.client_gone)


def test_a_client_that_resets_has_left(server: WsgiServer, app: Asking) -> None:
    with socket.create_connection((server.address.host, server.address.port), timeout=20) as client:
        client.sendall(POST)
        eventually_sync(app.client_gone, wanted=lambda gone: gone is not None)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    assert eventually_sync(app.client_gone)
