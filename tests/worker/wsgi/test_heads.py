import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.server import WsgiServer

ONE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
# Version 2 of the PROXY protocol: its signature, and four bytes for a connection of the balancer's own.
PROXY_2 = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "0")])
    return []


@pytest.fixture
def server() -> Iterator[WsgiServer]:
    server = WsgiServer(host="127.0.0.1", port=0, threads=1, body_limits=BodyLimits(1000))
    server.start(app)
    yield server
    server.close(timeout_s=5)


def talk(server: WsgiServer, sent: bytes) -> tuple[int, bytes]:
    with socket.create_connection((server.address.host, server.address.port), timeout=20) as client:
        client.sendall(sent)
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize(
    ("sent", "status", "detail"),
    [
        (b"GET /?" + b"a=1&" * 2050 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400, "over 8192 bytes"),
        (b"GET /?" + b"a=1&" * 65_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400, "65536"),
        (ONE + (b"A: " + b"x" * 8000 + b"\r\n") * 9 + b"\r\n", 400, "65536"),
        (ONE + b"A: " + b"x" * 8200 + b"\r\n\r\n", 400, "over 8192 bytes"),
        (ONE + b"A:\r\n" * 127 + b"\r\n", 400, "128 header lines"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "exactly one Host"),
        (ONE + b"host: y\r\n\r\n", 400, "exactly one Host"),
        (ONE + b"Expect: rain\r\n\r\n", 417, "Expect: 'rain' is not supported"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.5 5 80\r\n" + ONE + b"\r\n", 400, "begins with the PROXY protocol"),
        (PROXY_2 + ONE + b"\r\n", 400, "begins with the PROXY protocol"),
    ],
)
def test_a_large_or_ambiguous_head_is_refused(
    server: WsgiServer, sent: bytes, status: int, detail: str
) -> None:
    answered, body = talk(server, sent)
    problem = json.loads(body)
    assert (answered, problem["status"]) == (status, status)
    assert detail in problem["detail"]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /?" + b"a=1&" * 2000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        ONE + (b"A: " + b"x" * 8000 + b"\r\n") * 7 + b"\r\n",
        ONE + b"A:\r\n" * 126 + b"\r\n",
        ONE + b"X-Host: y\r\nExpect: 100-Continue\r\n\r\n",
        b"GET / HTTP/1.0\r\nExpect: rain\r\n\r\n",
    ],
)
def test_a_head_within_the_limits_is_taken(server: WsgiServer, sent: bytes) -> None:
    status, _ = talk(server, sent)
    assert status == 200
