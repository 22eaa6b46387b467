"""A server with more to do than its threads can: who waits, who is sent away, that nobody is forgotten."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.waiting import eventually_sync
from tfleet.worker.http.channel import REJECTED
from tfleet.worker.http.queue import QueueLimits
from tfleet.worker.http.server import Server

THREADS = 2
EMPTY = "<Queue waiting=0 bytes=0 served=0>"
FULL = "<Queue waiting=2 bytes=10 served=2>"


class Gated:
    """Answers images when its gate is open, and everything else at once. It notes what it was asked."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.served: list[bytes] = []
        self.rejected: list[str] = []
        self.threads: set[str] = set()
        self.pages = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        status = "200 OK"
        if reason := environ.get(REJECTED):
            status = "429 Too Many Requests"
            self.rejected.append(reason)
            self.threads.add(threading.current_thread().name)
            body = reason.encode()
        elif environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] != "/drain":
            self.served.append(body)
            assert self.gate.wait(20)
        elif environ["PATH_INFO"] == "/page":
            self.pages += 1
            body = bytes(64 * 1024)
        start_response(status, [("Content-Length", str(len(body)))])
        return [body]


class Client(http.client.HTTPConnection):
    """One connection, on which sending and reading are two steps."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.address.host, server.address.port, timeout=20)

    def send_image(self, body: bytes, path: str = "/") -> "Client":
        self.request("POST", path, body)
        return self

    def ask(self, method: str, path: str) -> int:
        self.request(method, path)
        return self.read()[0]

    def read(self) -> tuple[int, bytes]:
        answer = self.getresponse()
        return answer.status, answer.read()


@pytest.fixture
def app() -> Iterator[Gated]:
    app = Gated()
    yield app
    app.gate.set()


class Scene:
    """A server, and the clients that ask it something."""

    def __init__(self, app: Gated, threads: int, limits: QueueLimits) -> None:
        self.server = Server(
            host="127.0.0.1", port=0, threads=threads, max_body_bytes=100_000, queue_limits=limits
        )
        self._clients: list[Client] = []
        self.server.start(app)

    @property
    def queue(self) -> str:
        return repr(self.server.queue)

    def settled(self, queue: str) -> None:
        eventually_sync(lambda: self.queue, wanted=queue.__eq__)

    def client(self) -> Client:
        self._clients.append(Client(self.server))
        return self._clients[-1]

    def socket(self) -> socket.socket:
        return socket.create_connection((self.server.address.host, self.server.address.port), timeout=20)

    def send(self, *bodies: bytes) -> list[Client]:
        """Clients that have sent an image each, in this order."""
        before, clients = self._total(), []
        for count, body in enumerate(bodies, 1):
            clients.append(self.client().send_image(body))
            eventually_sync(self._total, wanted=(before + count).__eq__)
        return clients

    def fill(self) -> list[Client]:
        """As many as there are threads and places."""
        clients = self.send(*[b"held"] * THREADS, *[b"waits"] * 2)
        self.settled(FULL)
        return clients

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.server.close(timeout_s=20)

    def _total(self) -> int:
        """How many wait or are served."""
        words = self.queue.strip("<>").replace("=", " ").split()
        return int(words[2]) + int(words[6])


Make = Callable[..., Scene]


@pytest.fixture
def make(app: Gated) -> Iterator[Make]:
    made: list[Scene] = []

    def start(threads: int = THREADS, max_requests: int = 2, max_bytes: int = 100) -> Scene:
        made.append(Scene(app, threads, QueueLimits(max_requests, max_bytes)))
        return made[-1]

    yield start
    app.gate.set()
    for scene in made:
        scene.close()
        assert scene.queue == EMPTY


def test_who_finds_the_queue_full_is_sent_away_while_every_thread_is_stuck(make: Make, app: Gated) -> None:
    scene = make()
    held = scene.fill()
    late = scene.client()
    began_s = time.perf_counter()
    for _ in range(3):
        assert late.send_image(b"late").read() == (429, b"queue-requests")
    assert time.perf_counter() - began_s < 5, "without waiting for a thread"
    assert app.threads == {"http"}
    assert scene.queue == FULL
    app.gate.set()
    assert [client.read()[0] for client in held] == [200] * 4
    assert late.send_image(b"again").read() == (200, b"again"), "on the same connection"
    assert sorted(app.served) == [b"again", b"held", b"held", b"waits", b"waits"]


def test_the_bodies_that_wait_are_bounded_together(make: Make, app: Gated) -> None:
    scene = make(max_requests=9)
    held = scene.send(bytes(5000), bytes(5000))  # larger than all that may wait, but a thread is free
    scene.settled("<Queue waiting=0 bytes=0 served=2>")
    held += scene.send(bytes(90))
    late = scene.client()
    assert late.send_image(bytes(11)).read() == (429, b"queue-bytes")
    held += scene.send(bytes(10))
    assert late.send_image(b"x").read() == (429, b"queue-bytes")
    held += scene.send(b"")
    assert scene.queue == "<Queue waiting=3 bytes=100 served=2>"
    app.gate.set()
    assert [client.read()[0] for client in held] == [200] * 5


def test_a_body_larger_than_all_that_may_wait_waits_where_it_is_alone(make: Make, app: Gated) -> None:
    scene = make()
    held = scene.send(b"", b"", bytes(5000))
    scene.settled("<Queue waiting=1 bytes=5000 served=2>")
    assert scene.client().send_image(b"x").read() == (429, b"queue-bytes")
    app.gate.set()
    assert [client.read()[0] for client in held] == [200] * 3


def test_a_body_in_chunks_counts_with_its_length(make: Make, app: Gated) -> None:
    scene = make()
    held = scene.send(b"", b"")
    chunked = scene.client()
    chunked.request("POST", "/", iter([b"abc", b"de"]), encode_chunked=True)
    scene.settled("<Queue waiting=1 bytes=5 served=2>")
    app.gate.set()
    assert [client.read()[0] for client in (*held, chunked)] == [200] * 3


@pytest.mark.parametrize(
    "asked", ["GET /metrics", "GET /worker", "GET /readyz", "POST /drain", "GET /", "HEAD /", "PUT /predict"]
)
def test_what_is_no_image_is_answered_while_the_queue_is_full(make: Make, asked: str) -> None:
    scene = make()
    scene.fill()
    assert scene.client().ask(*asked.split()) == 200


@pytest.mark.parametrize("path", ["/predict", "//predict", "/%70redict", "/predict?top=1", "/elsewhere"])
def test_no_way_to_write_its_path_gets_an_image_past_the_queue(make: Make, path: str) -> None:
    scene = make()
    scene.fill()
    assert scene.client().send_image(b"x", path).read() == (429, b"queue-requests")


def test_what_is_no_http_is_told_so_while_the_queue_is_full(make: Make) -> None:
    scene = make()
    scene.fill()
    with scene.socket() as client:
        client.sendall(b"NONSENSE\r\n\r\n")
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert json.loads(body)["status"] == 400


def test_while_it_drains_who_is_sent_away_is_told_that_the_connection_ends(make: Make) -> None:
    scene = make()
    scene.fill()
    scene.server.announce_drain()
    client = scene.client().send_image(b"x")
    answer = client.getresponse()
    assert (answer.status, answer.getheader("Connection")) == (429, "close")


def test_who_has_gone_is_not_served_when_the_turn_comes_and_keeps_its_place_until_then(
    make: Make, app: Gated
) -> None:
    scene = make()
    held = scene.fill()
    assert "connections=4" in repr(scene.server)
    held.pop().close()
    eventually_sync(lambda: "connections=3" in repr(scene.server))
    assert scene.queue == FULL
    app.gate.set()
    assert [client.read()[0] for client in held] == [200] * 3
    scene.settled(EMPTY)
    assert app.served == [b"held", b"held", b"waits"]
    assert app.rejected == ["client-gone"], "for the books"


def test_who_closes_the_sending_side_has_gone(make: Make, app: Gated) -> None:
    scene = make()
    (*_, last) = scene.fill()
    last.sock.shutdown(socket.SHUT_WR)
    assert last.sock.recv(1) == b""
    app.gate.set()
    scene.settled(EMPTY)
    assert app.rejected == ["client-gone"]


POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"


def statuses(client: socket.socket, count: int) -> list[int]:
    """Those of so many answers on one connection."""
    stream, found = client.makefile("rb"), []
    for _ in range(count):
        found.append(int(stream.readline().split()[1]))
        length = 0
        while (line := stream.readline().lower()) != b"\r\n":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        stream.read(length)
    return found


def test_requests_sent_ahead_on_one_connection_take_their_places_one_by_one(make: Make, app: Gated) -> None:
    scene = make(threads=1, max_requests=0)
    with scene.socket() as client:
        client.sendall(b"".join(POST + body for body in (b"1", b"2", b"3")))
        scene.settled("<Queue waiting=0 bytes=0 served=1>")
        client.sendall(POST + b"4")
        assert scene.client().send_image(b"5").read()[0] == 429
        app.gate.set()
        assert statuses(client, 4) == [200] * 4
    assert app.served == [b"1", b"2", b"3", b"4"]
    scene.settled(EMPTY)


def test_one_of_the_requests_sent_ahead_may_be_sent_away(make: Make, app: Gated) -> None:
    scene = make(threads=1, max_requests=1)
    with scene.socket() as ahead:
        ahead.sendall(POST + b"1" + POST + b"2" + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        scene.settled("<Queue waiting=0 bytes=0 served=1>")
        (waits,) = scene.send(b"waits")
        app.gate.set()
        found = statuses(ahead, 3)
        assert found[0] == found[2] == 200
        assert found[1] in {200, 429}, "whichever came first to the place"
    assert waits.read()[0] == 200


def test_who_sends_questions_ahead_and_reads_no_answers_keeps_nobody_else_waiting(
    make: Make, app: Gated
) -> None:
    scene = make()
    scene.fill()
    other, count = scene.client(), 300  # together more than waitress lets a thread write before it waits
    with scene.socket() as client:
        client.sendall(b"GET /page HTTP/1.1\r\n\r\n" * count)

        def stuck() -> bool:
            """It has one answer in each round of the loop, and the other client's question takes some."""
            before = app.pages
            assert other.ask("GET", "/readyz") == 200
            return 0 < before == app.pages

        eventually_sync(stuck)
        assert app.pages < count
        assert statuses(client, count) == [200] * count


def test_who_sends_questions_ahead_and_leaves_is_forgotten(make: Make, app: Gated) -> None:
    scene = make()
    with scene.socket() as client:
        client.sendall(b"GET /page HTTP/1.1\r\n\r\n" * 300)
        eventually_sync(lambda: app.pages > 0)
    eventually_sync(lambda: "connections=0 busy=0" in repr(scene.server))


def test_a_drain_serves_who_waits(make: Make, app: Gated) -> None:
    scene = make()
    held = scene.fill()
    unfinished: list[int] = []
    closing = threading.Thread(target=lambda: unfinished.append(scene.server.close(timeout_s=20)))
    closing.start()
    app.gate.set()
    assert [client.read()[0] for client in held] == [200] * 4
    closing.join()
    assert (unfinished, scene.queue) == ([0], EMPTY)


def test_a_drain_that_is_over_forgets_who_waits(make: Make, app: Gated) -> None:
    scene = make()
    held = scene.fill()
    assert scene.server.close(timeout_s=0.05) == 4
    assert (scene.server.queue.waiting, scene.server.queue.waiting_bytes) == (0, 0)
    app.gate.set()
    scene.settled(EMPTY)
    for client in held:
        with pytest.raises(ConnectionError):
            client.read()
