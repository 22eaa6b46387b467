"""A page that takes long delays other pages, and nothing else."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support.waiting import eventually_sync
from tests.worker.wsgi.busy_server import quick, statuses
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.page_queue import MAX_WAITING_PAGES, PAGE_THREADS
from tfleet.worker.wsgi.server import WsgiServer

SLOW = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"


class Pages:
    """Answers `/slow` when it may, and everything else at once."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked = 0
        self.threads: set[str] = set()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            self.asked += 1
            self.threads.add(threading.current_thread().name)
            assert self.may_answer.wait(20)
        return quick(environ, start_response)


@pytest.fixture
def app() -> Iterator[Pages]:
    app = Pages()
    yield app
    app.may_answer.set()


@pytest.fixture
def server(app: Pages) -> Iterator[WsgiServer]:
    server = WsgiServer(host="127.0.0.1", port=0, threads=1, body_limits=BodyLimits(1000))
    server.start(app, "w1")
    yield server
    app.may_answer.set()
    server.close(timeout_s=5)


def slow_pages(server: WsgiServer, count: int) -> list[socket.socket]:
    """Clients of which each has asked for the slow page."""
    address = server.address.host, server.address.port
    clients = [socket.create_connection(address, timeout=20) for _ in range(count)]
    for client in clients:
        client.sendall(SLOW)
    eventually_sync(lambda: server.busy, wanted=count.__eq__)
    return clients


def ask(server: WsgiServer, asked: str) -> int:
    method, _, path = asked.partition(" ")
    return requests.request(method, server.address.url + path, timeout=5).status_code


@pytest.mark.parametrize(
    "asked",
    ["GET /healthz", "HEAD /healthz", "GET /readyz", "POST /drain", "OPTIONS /predict", "POST /predict"],
)
def test_stuck_pages_stop_nothing_else(server: WsgiServer, app: Pages, asked: str) -> None:
    clients = slow_pages(server, PAGE_THREADS + 1)
    assert ask(server, asked) == 200
    app.may_answer.set()
    for client in clients:
        with client:
            assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_one_slow_page_does_not_delay_another(server: WsgiServer) -> None:
    (slow,) = slow_pages(server, 1)
    with slow:
        assert ask(server, "GET /metrics") == 200


def test_too_many_waiting_pages_are_503(server: WsgiServer, app: Pages) -> None:
    clients = slow_pages(server, PAGE_THREADS + MAX_WAITING_PAGES)
    eventually_sync(lambda: app.threads, wanted={"page-0", "page-1"}.__eq__)
    with requests.Session() as session:
        refused = session.get(f"{server.address.url}/worker", timeout=5)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert "Connection" not in refused.headers
        assert "pages" in json.loads(refused.content)["detail"]
        app.may_answer.set()
        for client in clients:
            with client:
                assert client.recv(100).startswith(b"HTTP/1.1 200")
        assert session.get(f"{server.address.url}/worker", timeout=5).ok


def test_a_client_that_left_its_page_gives_its_place_back(server: WsgiServer, app: Pages) -> None:
    clients = slow_pages(server, PAGE_THREADS + MAX_WAITING_PAGES)
    eventually_sync(lambda: app.asked, wanted=PAGE_THREADS.__eq__)
    for client in clients:
        client.close()
    eventually_sync(lambda: server.busy, wanted=(0).__eq__)
    app.may_answer.set()
    eventually_sync(lambda: ask(server, "GET /worker"), wanted=(200).__eq__)
    assert app.asked == PAGE_THREADS, "nobody waits for the others"


def test_a_close_waits_for_a_page(server: WsgiServer, app: Pages) -> None:
    (client,) = slow_pages(server, 1)
    unfinished: list[int] = []
    closing = threading.Thread(target=lambda: unfinished.append(server.close(timeout_s=20)))
    closing.start()
    app.may_answer.set()
    with client:
        assert client.makefile("rb").readline().startswith(b"HTTP/1.1 200")
    closing.join()
    assert unfinished == [0]


@pytest.mark.parametrize(("chunk", "status"), [(b"NONSENSE\r\n", b"400"), (b"fffffff\r\n", b"413")])
def test_a_bad_body_of_a_page_is_refused(server: WsgiServer, chunk: bytes, status: bytes) -> None:
    with socket.create_connection((server.address.host, server.address.port), timeout=20) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        eventually_sync(lambda: server.busy, wanted=(1).__eq__)
        client.sendall(chunk)
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close" in answer


def test_a_body_that_comes_with_its_head_keeps_the_connection(server: WsgiServer) -> None:
    one = b"GET /worker HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    with socket.create_connection((server.address.host, server.address.port), timeout=20) as client:
        client.sendall(one * 2)
        assert statuses(client, 2) == [200, 200]
