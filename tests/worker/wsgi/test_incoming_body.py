"""Bodies that are not there yet: what they may hold, what is refused at the head, that all is given back."""

import socket
from collections.abc import Iterator

import pytest

from tests.support.waiting import eventually_sync
from tests.worker.wsgi.busy_server import EMPTY, FULL, POST, Gated, Make, Scene, statuses

COMING = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def coming(make: Make) -> Iterator[tuple[Scene, socket.socket]]:
    """Two threads that are stuck, and 80 of the 81 bytes of a body, of the 100 that may wait."""
    scene = make(max_requests=9)
    scene.send(b"", b"")
    scene.settled("<AdmissionQueue waiting=0 bytes=0 served=2>")
    with scene.socket() as client:
        client.sendall(COMING % 81 + b"\r\n" + bytes(80))
        scene.settled("<AdmissionQueue waiting=0 bytes=80 served=2>")
        yield scene, client


def answer(client: socket.socket) -> bytes:
    """All that comes until the server ends the connection."""
    return client.makefile("rb").read()


def test_a_body_has_its_bytes_while_it_comes_and_waits(
    coming: tuple[Scene, socket.socket], app: Gated
) -> None:
    scene, client = coming
    late = scene.client()
    assert late.send_image(bytes(21)).read() == (429, b"queue-bytes")
    client.sendall(bytes(1))
    scene.settled("<AdmissionQueue waiting=1 bytes=81 served=2>")
    assert late.send_image(bytes(21)).read() == (429, b"queue-bytes")
    app.gate.set()
    assert statuses(client, 1) == [200]


def test_an_announced_body_keeps_no_other_out(make: Make, app: Gated) -> None:
    scene = make(max_requests=9)
    scene.send(b"", b"")
    scene.settled("<AdmissionQueue waiting=0 bytes=0 served=2>")
    with scene.socket() as idle, scene.socket() as client:
        idle.sendall(COMING % 90 + b"\r\n" + b"x")
        scene.settled("<AdmissionQueue waiting=0 bytes=1 served=2>")
        client.sendall(COMING % 60 + b"\r\n" + bytes(60))
        scene.settled("<AdmissionQueue waiting=1 bytes=61 served=2>")
        idle.sendall(bytes(89))  # and when it does send there is no room for it
        assert statuses(idle, 1) == [429]
        scene.settled("<AdmissionQueue waiting=1 bytes=60 served=2>")
        app.gate.set()
        assert statuses(client, 1) == [200]


def test_unfinished_bodies_share_the_bytes_of_idle_threads(make: Make) -> None:
    scene = make(threads=24)
    with scene.socket() as first, scene.socket() as second:
        first.sendall(COMING % 81 + b"\r\n" + bytes(80))
        scene.settled("<AdmissionQueue waiting=0 bytes=80 served=0>")
        second.sendall(COMING % 81 + b"\r\n" + bytes(81))
        assert statuses(second, 1) == [429]
    scene.settled(EMPTY)


def test_a_client_that_leaves_early_gives_its_bytes_back(
    coming: tuple[Scene, socket.socket],
) -> None:
    scene, client = coming
    client.close()
    scene.settled("<AdmissionQueue waiting=0 bytes=0 served=2>")


def test_broken_chunks_give_their_bytes_back(coming: tuple[Scene, socket.socket]) -> None:
    scene, _ = coming
    with scene.socket() as client:
        client.sendall(CHUNKED + b"5\r\nab")
        scene.settled(f"<AdmissionQueue waiting=0 bytes={80 + 2} served=2>")
        client.sendall(b"cdeNONSENSE\r\n")
        assert b" 400 " in answer(client)[:20]
    scene.settled("<AdmissionQueue waiting=0 bytes=80 served=2>")


def test_a_client_that_expects_100_is_refused_before_its_body(
    coming: tuple[Scene, socket.socket], app: Gated
) -> None:
    scene, _ = coming
    with scene.socket() as client:
        client.sendall(COMING % 21 + b"Expect: 100-continue\r\n\r\n")
        head, _, body = answer(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ")
    assert b"Connection: close" in head
    assert body == b"queue-bytes"
    assert app.rejected == ["queue-bytes"]


def test_a_client_that_expects_100_hears_of_a_full_queue(make: Make) -> None:
    scene = make()
    scene.fill()
    with scene.socket() as client:
        client.sendall(COMING % 1 + b"Expect: 100-continue\r\n\r\n")
        found = answer(client)
    assert found.startswith(b"HTTP/1.1 429 ")
    assert found.endswith(b"queue-requests")
    assert scene.queue == FULL


def test_a_large_body_without_room_is_refused_at_its_head(
    coming: tuple[Scene, socket.socket], app: Gated
) -> None:
    scene, _ = coming
    with scene.socket() as client:
        client.sendall(COMING % 99_999 + b"\r\n" + POST)  # what follows is no request
        head = client.recv(2000)
        assert head.startswith(b"HTTP/1.1 429 ")
        for _ in range(90):  # a reset would fail one of these
            client.sendall(bytes(1000))
    assert b"Connection: close" in head
    assert scene.queue == "<AdmissionQueue waiting=0 bytes=80 served=2>"
    assert app.rejected == ["queue-bytes"]


def test_a_small_body_without_room_keeps_its_connection(
    coming: tuple[Scene, socket.socket], app: Gated
) -> None:
    scene, _ = coming
    with scene.socket() as client:
        client.sendall(COMING % 5000 + b"\r\n" + bytes(4000))
        assert scene.client().ask("GET", "/readyz") == 200
        assert app.rejected == [], "not before its end, or the connection could not be kept"
        client.sendall(bytes(1000) + POST + b"1" + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert statuses(client, 1) == [429]
        scene.settled("<AdmissionQueue waiting=1 bytes=81 served=2>")
        app.gate.set()
        assert statuses(client, 2) == [200, 200]


def test_chunks_are_refused_when_there_is_no_room_for_more(
    coming: tuple[Scene, socket.socket],
) -> None:
    scene, _ = coming
    with scene.socket() as client:
        client.sendall(CHUNKED + b"ff\r\n" + bytes(15))
        scene.settled(f"<AdmissionQueue waiting=0 bytes={80 + 15} served=2>")
        client.sendall(bytes(10))
        assert answer(client).startswith(b"HTTP/1.1 429 ")
    assert scene.queue == "<AdmissionQueue waiting=0 bytes=80 served=2>"


def test_pipelined_requests_are_forgotten_with_their_client(make: Make, app: Gated) -> None:
    scene = make(threads=1)
    with scene.socket() as client:
        client.sendall(POST + b"1" + POST + b"2" + POST)
        scene.settled("<AdmissionQueue waiting=0 bytes=0 served=1>")
    eventually_sync(lambda: "connections=0" in repr(scene.server))
    app.gate.set()
    scene.settled(EMPTY)
    assert app.served == [b"1"]
