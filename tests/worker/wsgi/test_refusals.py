import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.waiting import eventually_sync
from tfleet.worker.wsgi.environ import ARRIVED
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.server import WsgiServer

LIMIT = 1000
STALL_S = 0.5


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/broken":
        raise RuntimeError("a mistake of ours")
    waited_s = time.perf_counter() - environ[ARRIVED]
    body = json.dumps({"read": len(environ["wsgi.input"].read()), "waited_s": waited_s}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def server() -> Iterator[WsgiServer]:
    server = WsgiServer(host="127.0.0.1", port=0, threads=2, body_limits=BodyLimits(LIMIT, STALL_S, 8))
    server.start(app)
    yield server
    server.close(timeout_s=5)


def connect(server: WsgiServer) -> socket.socket:
    return socket.create_connection((server.address.host, server.address.port), timeout=20)


def talk(server: WsgiServer, sent: bytes) -> tuple[str, bytes, bytes]:
    """Status line, head and body of the answer; the connection must have been ended by the server."""
    with connect(server) as client:
        client.sendall(sent)
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), head, body


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"1" * 5000 + b"\r\n\r\n", 400),
        (
            b"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 4\r\nTransfer-Encoding:chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: x\r\nbad header: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: rot13\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 300_000 + b"\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1), 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % 5000 + bytes(5000), 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
def test_what_the_server_refuses_is_a_problem_document(server: WsgiServer, sent: bytes, status: int) -> None:
    line, head, body = talk(server, sent)
    assert line.startswith((f"HTTP/1.1 {status} ", f"HTTP/1.0 {status} "))
    assert b"Content-Type: application/problem+json" in head
    assert b"Connection: close" in head
    assert b"X-Request-Id: " in head
    document = json.loads(body)
    assert (document["status"], document["success"]) == (status, False)


def test_a_refusal_keeps_the_request_id_that_was_sent(server: WsgiServer) -> None:
    sent = b"POST / HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1)
    assert b"X-Request-Id: mine" in talk(server, sent)[1]


def test_a_body_at_the_limit_is_taken_and_one_over_it_is_not(server: WsgiServer) -> None:
    sent = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    line, _, body = talk(server, sent % LIMIT + bytes(LIMIT))
    assert line == "HTTP/1.1 200 OK"
    assert json.loads(body)["read"] == LIMIT
    assert talk(server, sent % (LIMIT + 1) + bytes(LIMIT + 1))[0].startswith("HTTP/1.1 413")


def test_a_refused_body_is_discarded_after_the_answer(server: WsgiServer) -> None:
    with connect(server) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (50 * LIMIT))
        for _ in range(50):  # a reset would fail one of these, or lose the answer below
            client.sendall(bytes(LIMIT))
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 413")


@pytest.mark.process
def test_a_client_that_never_stops_sending_is_cut_off(server: WsgiServer) -> None:
    with connect(server) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
        megabytes = bytes(200_000_000)  # more than a connection lingers for
        with pytest.raises(OSError):  # noqa: PT011 - a reset or a broken pipe, as it happens
            client.sendall(megabytes)


def test_a_client_gone_after_a_refusal_leaves_nothing(server: WsgiServer) -> None:
    with connect(server) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1))
        assert client.recv(10)
    eventually_sync(lambda: "connections=0" in repr(server))


def test_the_environ_has_the_time_a_request_waited(server: WsgiServer) -> None:
    _, _, body = talk(server, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert 0 <= json.loads(body)["waited_s"] < 10


def test_a_client_that_waits_for_100_continue_gets_it(server: WsgiServer) -> None:
    with connect(server) as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\nContent-Length: 3\r\n\r\n"
        )
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 200")


def test_no_100_continue_where_there_is_no_body(server: WsgiServer) -> None:
    sent = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    assert talk(server, sent)[0] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("length", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
def test_a_stalled_body_is_given_up(server: WsgiServer, length: bytes) -> None:
    line, head, body = talk(server, b"POST / HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n\r\n1")
    assert line.startswith("HTTP/1.1 408 ")
    assert b"Connection: close" in head
    assert json.loads(body)["status"] == 408
    eventually_sync(lambda: "bytes=0" in repr(server))


@pytest.mark.process
def test_a_body_that_comes_slowly_is_waited_for(server: WsgiServer) -> None:
    with connect(server) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 20\r\n\r\n")
        for _ in range(20):  # together four times as long as a client may be silent
            time.sleep(STALL_S / 5)
            client.sendall(b"x")
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 200")


def test_an_unneeded_body_is_discarded(server: WsgiServer) -> None:
    line, _, body = talk(
        server, b"PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
    )
    assert line == "HTTP/1.1 200 OK"
    assert json.loads(body)["read"] == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_application_that_fails_costs_its_request_only(server: WsgiServer, method: str) -> None:
    sent = f"{method} /broken HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\nContent-Length: 0\r\n\r\n".encode()
    with capture_logs() as logs:
        for _ in range(3):  # more often than there are threads
            line, head, body = talk(server, sent)
            assert line == "HTTP/1.1 500 Internal Server Error"
            assert b"X-Request-Id: mine" in head
            assert json.loads(body)["success"] is False
    assert [str(log["exc_info"]) for log in logs] == ["a mistake of ours"] * 3
    good = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
    assert talk(server, good)[0] == "HTTP/1.1 200 OK"
