import pytest

from tfleet.httpd.timers import SlowSenderWatch


def test_a_body_without_a_byte_is_late_after_the_timeout() -> None:
    assert SlowSenderWatch(30.0, 1000, now_s=5.0).due_s == 35.0


def test_a_dripping_body_earns_almost_no_time() -> None:
    watch = SlowSenderWatch(30.0, 1000, now_s=0.0)
    for second in range(1, 30):
        watch.received(1, now_s=float(second))
    assert watch.due_s == pytest.approx(30.0 + 29 / 1000)


def test_a_fast_enough_body_goes_on() -> None:
    watch = SlowSenderWatch(30.0, 1000, now_s=0.0)
    for second in range(1, 300):
        watch.received(2000, now_s=float(second))
        assert watch.due_s == second + 30.0


def test_a_body_is_late_one_timeout_after_its_last_byte() -> None:
    watch = SlowSenderWatch(30.0, 1000, now_s=0.0)
    watch.received(1_000_000, now_s=10.0)
    assert watch.due_s == 40.0


def test_a_burst_earns_no_time_for_a_later_pause() -> None:
    watch = SlowSenderWatch(30.0, 1000, now_s=0.0)
    watch.received(14_000_000, now_s=0.0)
    watch.received(1, now_s=14.0)
    watch.received(1, now_s=28.0)
    assert watch.due_s == pytest.approx(30.0 + 2 / 1000)


def test_a_body_may_pause_again_and_again() -> None:
    watch = SlowSenderWatch(30.0, 1000, now_s=0.0)
    for minute in range(1, 10):
        watch.received(60_000, now_s=minute * 25.0)
        assert watch.due_s == minute * 25.0 + 30.0
