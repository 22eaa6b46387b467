from __future__ import annotations

import pytest

from tfleet.client import BusyError, FleetUnavailableError, TryLaterError
from tfleet.client.routes.attempts import PAUSE_S, Attempts
from tfleet.client.routes.lookup import FoundWorker
from tfleet.contract.address import Address

PROXY = "http://proxy:12480"
LEAVING = FleetUnavailableError("it leaves", status=503, retry_after_s=0.0)


def worker(number: int) -> FoundWorker:
    return FoundWorker(f"w{number}", Address("10.0.0.1", number))


def busy(retry_after_s: float | None) -> BusyError:
    return BusyError("its queue is full", status=429, retry_after_s=retry_after_s)


def tries(*refusals: TryLaterError | None) -> Attempts:
    """The n-th worker refused so; None is a lost connection."""
    made = Attempts()
    for number, refusal in enumerate(refusals, 1):
        made.ask(worker(number))
        made.failed(str(refusal or "connection refused"), refusal)
    return made


def test_failed_workers_are_avoided() -> None:
    made = tries(None, LEAVING, busy(1.0))
    assert (len(made), made.avoided) == (3, ("w1", "w2", "w3"))
    assert repr(made) == "<Attempts failed=3 avoided=3>"


def test_failures_and_open_attempts_are_listed() -> None:
    made = tries(None, LEAVING)
    made.ask(worker(3))
    assert str(made) == "10.0.0.1:1: connection refused; 10.0.0.1:2: it leaves; 10.0.0.1:3: no answer yet"
    assert str(tries(None)) == "10.0.0.1:1: connection refused"
    assert str(Attempts()) == ""


@pytest.mark.parametrize(
    ("refusals", "pause_s"),
    [
        ([], None),
        ([None, LEAVING], None),
        ([busy(3.0), None, busy(2.0)], 2.0),
        ([busy(None)], PAUSE_S),
        ([busy(0.0), busy(5.0)], 0.0),
    ],
)
def test_the_pause_is_the_shortest_retry_after(
    refusals: list[TryLaterError | None], pause_s: float | None
) -> None:
    assert tries(*refusals).pause_s() == pause_s


def test_after_the_pause_only_the_busy_may_be_asked_again() -> None:
    made = tries(None, busy(1.0), LEAVING)
    made.retry_busy()
    assert made.avoided == ("w1", "w3")
    assert (len(made), made.pause_s()) == (3, None)


def test_a_late_worker_may_be_asked_once_more() -> None:
    made = tries(None, LEAVING)
    assert not made.retry_late()
    left = []
    for again in (True, False):
        made.ask(worker(3))
        made.failed("no progress for 1 s", late=True)
        assert made.retry_late() is again
        left.append(made.avoided)
    assert left == [("w1", "w2"), ("w1", "w2", "w3")]


def test_an_unreachable_worker_costs_no_attempt() -> None:
    made = tries(None)
    made.avoid([worker(1), worker(2)])
    assert (len(made), made.avoided, str(made)) == (1, ("w1", "w2"), "10.0.0.1:1: connection refused")


@pytest.mark.parametrize(
    ("refusals", "somebody"),
    [([], False), ([None, None], False), ([None, LEAVING], True), ([busy(1.0)], True)],
)
def test_attempts_know_whether_any_worker_answered(
    refusals: list[TryLaterError | None], somebody: bool
) -> None:
    assert tries(*refusals).any_answered is somebody


@pytest.mark.parametrize(
    ("refusals", "kind", "status", "retry_after_s"),
    [
        ([None, None], FleetUnavailableError, None, None),
        ([None, LEAVING], FleetUnavailableError, 503, 0.0),
        ([busy(3.0), LEAVING, busy(2.0)], BusyError, 429, 2.0),
        ([busy(None)], BusyError, 429, None),
    ],
)
def test_the_error_says_what_the_caller_can_do(
    refusals: list[TryLaterError | None],
    kind: type[TryLaterError],
    status: int | None,
    retry_after_s: float | None,
) -> None:
    error = tries(*refusals).error(PROXY, request_id="r")
    assert type(error) is kind
    assert (error.status, error.retry_after_s, error.request_id) == (status, retry_after_s, "r")
    assert "no worker that http://proxy:12480 named accepted the image (10.0.0.1:1: " in str(error)
