import pytest

from benchmarks.load.form import Form
from benchmarks.load.open_loop import Flood, flood
from tests.benchmarks.load.test_closed_loop import statuses_server

_FORM = Form.of(b"picture")


async def test_good_answers_and_rejections_are_told_apart() -> None:
    with statuses_server(200, 429, 200, 503) as (url, _):
        found = await flood(url, _FORM.request(url), per_second=200, seconds=0.2, connections=40)
    assert found.statuses == {200: 20, 429: 10, 503: 10}
    assert (len(found.good_s), len(found.rejections_ms), found.not_sent, found.broken) == (20, 10, 0, 0)
    assert all(0 <= one < 1000 for one in found.rejections_ms)
    assert found.goodput > 0


async def test_requests_do_not_wait_for_earlier_answers() -> None:
    """It also counts the requests for which no connection was free."""
    with statuses_server(200) as (url, _):
        at_once = {"per_second": 1e9, "seconds": 10e-9}
        found = await flood(url, _FORM.request(url), **at_once, connections=4)
    assert (found.statuses, found.not_sent) == ({200: 4}, 6)


def _flood(until_s: float) -> Flood:
    """Thirty seconds, with a hundred good answers in each of the first."""
    return Flood(100.0, 30.0, good_s=[100 + number / 100 for number in range(1, round(until_s * 100) + 1)])


def test_answers_for_a_third_of_the_flood_are_a_third_goodput() -> None:
    found = _flood(until_s=10.0)
    assert found.goodput == pytest.approx(100 / 3)
    assert found.least_goodput == 0.0


def test_a_steady_worker_has_the_same_worst_seconds() -> None:
    found = _flood(until_s=30.0)
    assert found.goodput == pytest.approx(100)
    assert found.least_goodput == pytest.approx(100, rel=0.01)


def test_a_pause_is_seen_wherever_it_falls() -> None:
    found = _flood(until_s=30.0)
    found.good_s = [one for one in found.good_s if not 110.5 < one <= 113.5]
    assert found.goodput == pytest.approx(90)
    assert found.least_goodput == 0.0


def test_answers_that_come_after_the_flood_are_no_goodput() -> None:
    assert _flood(until_s=60.0).goodput == pytest.approx(100)
