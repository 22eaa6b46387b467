"""A server with more to do than its threads can: who waits, who is sent away, that nobody is forgotten."""

import json
import socket
import struct
import threading
import time

import pytest

from tests.support.waiting import eventually_sync
from tests.worker.wsgi.busy_server import EMPTY, FULL, POST, Gated, Make, statuses


def test_a_full_queue_answers_429_while_threads_are_stuck(make: Make, app: Gated) -> None:
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
    scene.settled("<AdmissionQueue waiting=0 bytes=0 served=2>")
    held += scene.send(bytes(90))
    late = scene.client()
    assert late.send_image(bytes(11)).read() == (429, b"queue-bytes")
    held += scene.send(bytes(10))
    assert late.send_image(b"x").read() == (429, b"queue-bytes")
    held += scene.send(b"")
    assert scene.queue == "<AdmissionQueue waiting=3 bytes=100 served=2>"
    app.gate.set()
    assert [client.read()[0] for client in held] == [200] * 5


def test_a_body_over_the_limit_may_wait_alone(make: Make, app: Gated) -> None:
    scene = make()
    held = scene.send(b"", b"", bytes(5000))
    scene.settled("<AdmissionQueue waiting=1 bytes=5000 served=2>")
    assert scene.client().send_image(b"x").read() == (429, b"queue-bytes")
    app.gate.set()
    assert [client.read()[0] for client in held] == [200] * 3


def test_a_body_in_chunks_counts_without_its_framing(make: Make, app: Gated) -> None:
    scene = make()
    held = scene.send(b"", b"")
    chunked = scene.client()
    chunked.request("POST", "/", iter([b"abc", b"de"]), encode_chunked=True)
    scene.settled("<AdmissionQueue waiting=1 bytes=5 served=2>")
    app.gate.set()
    assert [client.read()[0] for client in (*held, chunked)] == [200] * 3


@pytest.mark.parametrize(
    "asked", ["GET /metrics", "GET /worker", "GET /readyz", "POST /drain", "GET /", "HEAD /", "PUT /predict"]
)
def test_get_requests_are_answered_while_the_queue_is_full(make: Make, asked: str) -> None:
    scene = make()
    scene.fill()
    assert scene.client().ask(*asked.split()) == 200


@pytest.mark.parametrize("path", ["/predict", "//predict", "/%70redict", "/predict?top=1", "/elsewhere"])
def test_no_spelling_of_a_path_gets_past_the_queue(make: Make, path: str) -> None:
    scene = make()
    scene.fill()
    assert scene.client().send_image(b"x", path).read() == (429, b"queue-requests")


def test_a_malformed_request_is_told_so_in_overload(make: Make) -> None:
    scene = make()
    scene.fill()
    with scene.socket() as client:
        client.sendall(b"NONSENSE\r\n\r\n")
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert json.loads(body)["status"] == 400


def test_a_429_while_draining_ends_its_connection(make: Make) -> None:
    scene = make()
    scene.fill()
    scene.server.announce_drain()
    client = scene.client().send_image(b"x")
    answer = client.getresponse()
    assert (answer.status, answer.getheader("Connection")) == (429, "close")


def test_a_client_that_left_keeps_its_place_and_is_not_served(make: Make, app: Gated) -> None:
    scene = make()
    held = scene.fill()
    assert "connections=4" in repr(scene.server)
    held.pop().close()
    eventually_sync(lambda: "connections=3" in repr(scene.server))
    assert scene.queue == "<AdmissionQueue waiting=2 bytes=5 served=2>", "its bytes are given up at once"
    app.gate.set()
    assert [client.read()[0] for client in held] == [200] * 3
    scene.settled(EMPTY)
    assert app.served == [b"held", b"held", b"waits"]
    assert app.rejected == ["client-gone"], "for the books"


def test_a_half_closed_client_keeps_its_place_and_is_served(make: Make, app: Gated) -> None:
    scene = make()
    (*_, last) = scene.fill()
    last.sock.shutdown(socket.SHUT_WR)
    assert last.sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n", "which only a client that left resets"
    app.gate.set()
    assert last.read()[0] == 200
    scene.settled(EMPTY)
    assert app.rejected == []


def test_a_half_closed_client_that_leaves_is_not_served(make: Make, app: Gated) -> None:
    scene = make()
    (*held, last) = scene.fill()
    last.sock.shutdown(socket.SHUT_WR)
    assert last.sock.recv(100)
    last.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    last.close()
    eventually_sync(lambda: "connections=3" in repr(scene.server))
    app.gate.set()
    assert [client.read()[0] for client in held] == [200] * 3
    scene.settled(EMPTY)
    assert app.rejected == ["client-gone"]


def test_pipelined_requests_take_their_places_one_by_one(make: Make, app: Gated) -> None:
    scene = make(threads=1, max_requests=0)
    with scene.socket() as client:
        client.sendall(b"".join(POST + body for body in (b"1", b"2", b"3")))
        scene.settled("<AdmissionQueue waiting=0 bytes=0 served=1>")
        client.sendall(POST + b"4")
        assert scene.client().send_image(b"5").read()[0] == 429
        app.gate.set()
        assert statuses(client, 4) == [200] * 4
    assert app.served == [b"1", b"2", b"3", b"4"]
    scene.settled(EMPTY)


def test_a_pipelined_request_may_be_answered_429(make: Make, app: Gated) -> None:
    scene = make(threads=1, max_requests=1)
    with scene.socket() as ahead:
        ahead.sendall(POST + b"1" + POST + b"2" + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        scene.settled("<AdmissionQueue waiting=0 bytes=0 served=1>")
        (waits,) = scene.send(b"waits")
        app.gate.set()
        found = statuses(ahead, 3)
        assert found[0] == found[2] == 200
        assert found[1] in {200, 429}, "whichever came first to the place"
    assert waits.read()[0] == 200


def test_a_client_that_never_reads_keeps_no_other_waiting(make: Make, app: Gated) -> None:
    scene = make()
    scene.fill()
    other, count = scene.client(), 300  # together more than a connection may have unsent
    with scene.socket() as client:
        client.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n" * count)

        def stuck() -> bool:
            """Its next page would be made before, or between, pages for the other client."""
            before = app.pages
            assert [other.ask("GET", "/worker") for _ in range(10)] == [200] * 10
            return 0 < before == app.pages

        eventually_sync(stuck)
        assert app.pages < count
        assert statuses(client, count) == [200] * count


def test_a_client_that_leaves_pipelined_requests_is_forgotten(make: Make, app: Gated) -> None:
    scene = make()
    with scene.socket() as client:
        client.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n" * 300)
        eventually_sync(lambda: app.pages > 0)
    eventually_sync(lambda: "connections=0 busy=0" in repr(scene.server))


def test_a_drain_serves_requests_that_wait(make: Make, app: Gated) -> None:
    scene = make()
    held = scene.fill()
    unfinished: list[int] = []
    closing = threading.Thread(target=lambda: unfinished.append(scene.server.close(timeout_s=20)))
    closing.start()
    app.gate.set()
    assert [client.read()[0] for client in held] == [200] * 4
    closing.join()
    assert (unfinished, scene.queue) == ([0], EMPTY)


def test_an_ended_drain_discards_waiting_requests(make: Make, app: Gated) -> None:
    scene = make()
    held = scene.fill()
    assert scene.server.close(timeout_s=0.05) == 4
    assert (scene.server.queue.waiting, scene.server.queue.waiting_bytes) == (0, 0)
    app.gate.set()
    scene.settled(EMPTY)
    for client in held:
        with pytest.raises(ConnectionError):
            client.read()
