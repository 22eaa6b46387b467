from __future__ import annotations

import socket

from tfleet.httpd.idle import IdleConnections


class Idle:
    """One end of a connection."""

    def __init__(self, ours: socket.socket) -> None:
        self.ours = ours
        self.busy = False
        self.gave_way = False

    def descriptor(self) -> int | None:
        return self.ours.fileno()

    def give_way(self) -> None:
        self.gave_way = True


def test_a_connection_with_unread_bytes_is_not_idle() -> None:
    ours, theirs = socket.socketpair()
    quiet, other = socket.socketpair()
    with ours, theirs, quiet, other:
        first, second, idle = Idle(ours), Idle(quiet), IdleConnections()
        idle.add(first)
        idle.add(second)
        theirs.send(b"GET")
        idle.close_longest()
        assert (first.gave_way, second.gave_way) == (False, True)
        idle.close_longest()
        assert not first.gave_way
        ours.recv(3)
        idle.close_longest()
        assert first.gave_way
