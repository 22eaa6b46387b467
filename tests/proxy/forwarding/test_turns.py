"""Who is late in an exchange, with a clock and two sides that are told what to say."""

from __future__ import annotations

from typing import cast

import pytest

from tests.support.fake_worker import settings
from tfleet.httpd.interfaces import Client
from tfleet.proxy.forwarding.attempt import Attempt
from tfleet.proxy.forwarding.replay_buffer import Upload
from tfleet.proxy.forwarding.turns import Late, Turns


class Side:
    """The client, the try, its body and the loop's clock at once: what Turns asks of each."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.wakes_s = 0.0
        self.reading = True
        self.write_paused = self.full = self.ended = False
        self.unsent = 0
        self.worker_since_s: float | None = None
        self.worker_takes = False

    def time(self) -> float:
        return self.now_s

    def wake_at(self, when_s: float) -> None:
        self.wakes_s = when_s

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def unsent_bytes(self) -> int:
        return self.unsent

    def waits(self, since_s: float | None) -> None:
        self.worker_since_s = since_s

    def has_taken_some(self) -> bool:
        return self.worker_takes


@pytest.fixture
def side() -> Side:
    return Side()


@pytest.fixture
def turns(side: Side) -> Turns:
    limits = settings(timeout_s=60.0, try_timeout_s=10.0, client_timeout_s=30.0).limits
    found = Turns(cast(Client, side), limits, side)  # type: ignore[arg-type] # of the loop only its clock is asked
    found.begin()
    return found


def changed(turns: Turns, side: Side) -> None:
    turns.changed(cast(Attempt, side), cast(Upload, side))


def late(turns: Turns, side: Side, now_s: float) -> Late:
    side.now_s = now_s
    return turns.late(cast(Attempt, side), cast(Upload, side))


def test_a_client_that_owes_its_body_is_late(turns: Turns, side: Side) -> None:
    changed(turns, side)
    assert side.wakes_s == 30.0
    assert late(turns, side, 29.0) is Late.NOBODY
    assert late(turns, side, 30.0) is Late.SENDER


def test_a_worker_that_has_the_body_is_late(turns: Turns, side: Side) -> None:
    side.ended = True
    changed(turns, side)
    assert side.wakes_s == 10.0
    assert late(turns, side, 10.0) is Late.WORKER


def test_a_worker_that_takes_some_has_more_time(turns: Turns, side: Side) -> None:
    side.full = side.worker_takes = True
    changed(turns, side)
    assert late(turns, side, 10.0) is Late.NOBODY
    assert side.wakes_s == 20.0


def test_a_full_worker_holds_the_client_back(turns: Turns, side: Side) -> None:
    side.full = True
    changed(turns, side)
    assert not side.reading
    side.full = False
    changed(turns, side)
    assert side.reading


def test_a_complete_body_holds_nobody_back(turns: Turns, side: Side) -> None:
    side.full = side.ended = True
    changed(turns, side)
    assert side.reading


def test_a_client_that_does_not_read_is_late(turns: Turns, side: Side) -> None:
    side.ended = side.write_paused = True
    side.unsent = 100
    changed(turns, side)
    turns.response_begun()
    assert late(turns, side, 30.0) is Late.READER


def test_a_client_that_reads_slowly_is_not(turns: Turns, side: Side) -> None:
    side.ended = side.write_paused = True
    side.unsent = 100
    changed(turns, side)
    side.unsent = 99
    assert late(turns, side, 30.0) is Late.NOBODY
    assert side.wakes_s == 60.0


def test_a_request_has_its_time_until_its_response(turns: Turns, side: Side) -> None:
    side.ended = True
    side.now_s = 55.0
    changed(turns, side)
    assert side.wakes_s == 60.0
    assert late(turns, side, 60.0) is Late.REQUEST
    turns.response_begun()
    changed(turns, side)
    assert late(turns, side, 69.0) is Late.NOBODY
