"""Clients that announce a body, send a part of it and stop: they keep no good client out."""

import contextlib
import time

import pytest

from tests.support.waiting import eventually_sync
from tests.worker.wsgi.busy_server import Gated, Make, statuses

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_stopped_bodies_take_no_place_in_the_queue(make: Make, app: Gated) -> None:
    """Many more of them than there are threads and places."""
    scene = make(max_requests=2, max_bytes=100_000)
    with contextlib.ExitStack() as stopped:
        for _ in range(300):
            stopped.enter_context(scene.socket()).sendall(HEAD % 201 + bytes(200))
        scene.settled("<AdmissionQueue waiting=0 bytes=60000 served=0>")
        held = scene.send(b"held", b"held", b"waits", b"waits")
        scene.settled("<AdmissionQueue waiting=2 bytes=60010 served=2>")
        assert scene.client().send_image(b"late").read() == (429, b"queue-requests")
        app.gate.set()
        assert [client.read()[0] for client in held] == [200] * 4


@pytest.mark.process
@pytest.mark.parametrize(
    ("half", "rest"),
    [(HEAD % 55 + bytes(45), bytes(10)), (CHUNKED + b"2d\r\n" + bytes(45) + b"\r\n", b"0\r\n\r\n")],
    ids=["with a length", "in chunks"],
)
def test_stopped_bodies_give_way_when_they_fill_the_room(
    make: Make, app: Gated, half: bytes, rest: bytes
) -> None:
    scene = make(max_bytes=100)
    app.gate.set()
    good = scene.client()
    with scene.socket() as longest, scene.socket() as other:
        longest.sendall(half)
        scene.settled("<AdmissionQueue waiting=0 bytes=45 served=0>")
        other.sendall(half)
        scene.settled("<AdmissionQueue waiting=0 bytes=90 served=0>")
        assert good.send_image(bytes(50)).read() == (429, b"queue-bytes"), "at once"
        eventually_sync(lambda: good.send_image(bytes(50)).read()[0], wanted=(200).__eq__, timeout_s=10)
        scene.settled("<AdmissionQueue waiting=0 bytes=45 served=0>")
        longest.sendall(rest)
        other.sendall(rest)
        assert (statuses(longest, 1), statuses(other, 1)) == ([429], [200])


@pytest.mark.process
def test_a_body_that_drips_gives_way(make: Make, app: Gated) -> None:
    scene = make(max_bytes=10_000)
    app.gate.set()
    with scene.socket() as dripping, scene.socket() as stopped:
        dripping.sendall(HEAD % 5500 + bytes(4500))
        scene.settled("<AdmissionQueue waiting=0 bytes=4500 served=0>")
        # Each byte that drips gives its body a 16,384th of a second more than the other one: not so much.
        began_s = time.monotonic()
        eventually_sync(lambda: time.monotonic() - began_s, wanted=lambda waited_s: waited_s > 0.5)
        stopped.sendall(HEAD % 5500 + bytes(4500))
        scene.settled("<AdmissionQueue waiting=0 bytes=9000 served=0>")

        def drip_and_ask() -> int:
            dripping.sendall(b"x")
            return scene.client().send_image(bytes(5000)).read()[0]

        eventually_sync(drip_and_ask, wanted=(200).__eq__, timeout_s=10)
        stopped.sendall(bytes(1000))
        assert statuses(stopped, 1) == [200], "the one that began first has given way"
