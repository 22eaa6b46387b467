"""Which time-out of an exchange has passed, with a clock and two sides that the test sets."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from tests.support.fake_worker import settings
from tfleet.httpd.interfaces import Client
from tfleet.proxy.forwarding.attempt import Attempt
from tfleet.proxy.forwarding.replay_buffer import RequestBody
from tfleet.proxy.forwarding.timeouts import ExchangeTimeouts, TimedOut


class Side:
    """The client, the attempt, the body and the loop's clock at once: what ExchangeTimeouts reads of each."""

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

    def set_waiting_since(self, since_s: float | None) -> None:
        self.worker_since_s = since_s

    def has_taken_some(self) -> bool:
        return self.worker_takes


@pytest.fixture
def side() -> Side:
    return Side()


@pytest.fixture
def timeouts(side: Side) -> ExchangeTimeouts:
    limits = settings(timeout_s=60.0, try_timeout_s=10.0, client_timeout_s=30.0).limits
    loop = cast(asyncio.AbstractEventLoop, side)  # only its clock is read
    found = ExchangeTimeouts(cast(Client, side), limits, loop)
    found.begin()
    return found


def update(timeouts: ExchangeTimeouts, side: Side) -> None:
    timeouts.update(cast(Attempt, side), cast(RequestBody, side))


def expired(timeouts: ExchangeTimeouts, side: Side, now_s: float) -> TimedOut:
    side.now_s = now_s
    return timeouts.expired(cast(Attempt, side), cast(RequestBody, side))


def test_a_client_that_owes_its_body_is_late(timeouts: ExchangeTimeouts, side: Side) -> None:
    update(timeouts, side)
    assert side.wakes_s == 30.0
    assert expired(timeouts, side, 29.0) is TimedOut.NOTHING
    assert expired(timeouts, side, 30.0) is TimedOut.CLIENT_SENDING


def test_a_worker_that_has_the_body_is_late(timeouts: ExchangeTimeouts, side: Side) -> None:
    side.ended = True
    update(timeouts, side)
    assert side.wakes_s == 10.0
    assert expired(timeouts, side, 10.0) is TimedOut.WORKER


def test_a_worker_that_takes_some_has_more_time(timeouts: ExchangeTimeouts, side: Side) -> None:
    side.full = side.worker_takes = True
    update(timeouts, side)
    assert expired(timeouts, side, 10.0) is TimedOut.NOTHING
    assert side.wakes_s == 20.0


def test_a_full_worker_holds_the_client_back(timeouts: ExchangeTimeouts, side: Side) -> None:
    side.full = True
    update(timeouts, side)
    assert not side.reading
    side.full = False
    update(timeouts, side)
    assert side.reading


def test_a_complete_body_holds_nobody_back(timeouts: ExchangeTimeouts, side: Side) -> None:
    side.full = side.ended = True
    update(timeouts, side)
    assert side.reading


def test_a_client_that_does_not_read_is_late(timeouts: ExchangeTimeouts, side: Side) -> None:
    side.ended = side.write_paused = True
    side.unsent = 100
    update(timeouts, side)
    timeouts.response_begun()
    assert expired(timeouts, side, 30.0) is TimedOut.CLIENT_READING


def test_a_client_that_reads_slowly_is_not(timeouts: ExchangeTimeouts, side: Side) -> None:
    side.ended = side.write_paused = True
    side.unsent = 100
    update(timeouts, side)
    side.unsent = 99
    assert expired(timeouts, side, 30.0) is TimedOut.NOTHING
    assert side.wakes_s == 60.0


def test_a_request_has_its_time_until_its_response(timeouts: ExchangeTimeouts, side: Side) -> None:
    side.ended = True
    side.now_s = 55.0
    update(timeouts, side)
    assert side.wakes_s == 60.0
    assert expired(timeouts, side, 60.0) is TimedOut.REQUEST
    timeouts.response_begun()
    update(timeouts, side)
    assert expired(timeouts, side, 69.0) is TimedOut.NOTHING
