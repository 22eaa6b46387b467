"""Answers of many megabytes are sent no faster than they are read, and cost no second copy."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.waiting import eventually_sync
from tests.worker.wsgi.busy_server import POST
from tfleet.httpd.admission import ConnectionLimits
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.server import WsgiServer

ANSWER = os.urandom(1024) * 32 * 1024
PAGE = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
READERS = 6


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """One answer for all, so that only what the server copies takes memory."""
    small = environ["PATH_INFO"] == "/healthz"
    start_response("200 OK", [])
    return [b"ok"] if small else [ANSWER]


@contextlib.contextmanager
def serving(reader_timeout_s: float) -> Iterator[WsgiServer]:
    limits = ConnectionLimits(100, idle_timeout_s=reader_timeout_s)
    server = WsgiServer(
        host="127.0.0.1", port=0, threads=2, body_limits=BodyLimits(1000), connection_limits=limits
    )
    server.start(app)
    try:
        yield server
    finally:
        server.close(timeout_s=1)


@pytest.fixture
def server() -> Iterator[WsgiServer]:
    with serving(reader_timeout_s=60) as server:
        yield server


def connect(server: WsgiServer) -> socket.socket:
    return socket.create_connection((server.address.host, server.address.port), timeout=20)


def resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("asked", [POST + b"x", PAGE], ids=["an image", "a page"])
def test_large_answers_that_wait_take_no_memory(server: WsgiServer, asked: bytes) -> None:
    before_bytes = resident_bytes()
    with contextlib.ExitStack() as readers:
        clients = [readers.enter_context(connect(server)) for _ in range(READERS)]
        for client in clients:
            client.sendall(asked)
        begun = [client.recv(1000) for client in clients]
        assert requests.get(f"{server.address.url}/healthz", timeout=5).content == b"ok"
        assert resident_bytes() - before_bytes < len(ANSWER), "not even one copy for all six"
        for client, start in zip(clients, begun, strict=True):
            head, _, body = start.partition(b"\r\n\r\n")
            assert b"Content-Length: %d" % len(ANSWER) in head
            rest = client.makefile("rb").read(len(ANSWER) - len(body))
            assert body + rest == ANSWER


def test_requests_may_follow_a_large_answer(server: WsgiServer) -> None:
    with requests.Session() as session:
        for _ in range(3):
            answer = session.post(server.address.url, data=b"x", timeout=20)
            assert (answer.content == ANSWER, "Connection" in answer.headers) == (True, False)


@pytest.mark.process
@pytest.mark.parametrize("asked", [POST + b"x", PAGE], ids=["an image", "a page"])
def test_who_stops_reading_a_large_answer_is_reset(asked: bytes) -> None:
    with serving(reader_timeout_s=2) as server, connect(server) as client:
        client.sendall(asked)
        assert client.recv(1000)
        eventually_sync(lambda: "connections=0" in repr(server))
        with pytest.raises(ConnectionResetError):
            client.makefile("rb").read()


def test_a_client_that_leaves_a_large_answer_is_forgotten(server: WsgiServer) -> None:
    with connect(server) as client:
        client.sendall(PAGE)
        assert client.recv(1000)
    eventually_sync(lambda: "connections=0 busy=0" in repr(server))


@pytest.mark.parametrize("asked", [POST + b"x", PAGE], ids=["an image", "a page"])
def test_a_half_close_within_an_answer_changes_no_byte(server: WsgiServer, asked: bytes) -> None:
    with connect(server) as client:
        client.sendall(asked)
        begin = client.recv(1000)
        client.shutdown(socket.SHUT_WR)
        # Once another client is answered, the server knows of the half-close.
        with connect(server) as other:
            other.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert other.makefile("rb").read().endswith(b"ok")
        answer = begin + client.makefile("rb").read()
    assert answer.partition(b"\r\n\r\n")[2] == ANSWER
