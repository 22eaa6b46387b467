from tfleet.httpd.timers import SlowReaderWatch


def test_who_takes_a_little_now_and_then_is_waited_for() -> None:
    watch = SlowReaderWatch(10.0)
    watch.begin(300, 0.0)
    assert watch.goes_on(200, 9.0)
    assert watch.goes_on(200, 18.0)
    assert watch.goes_on(1, 18.9)
    assert watch.goes_on(1, 28.8)


def test_who_takes_nothing_for_too_long_is_not() -> None:
    watch = SlowReaderWatch(10.0)
    watch.begin(300, 0.0)
    assert watch.goes_on(300, 9.9)
    assert not watch.goes_on(300, 10.0)


def test_where_all_was_taken_there_is_nothing_to_wait_for() -> None:
    watch = SlowReaderWatch(10.0)
    watch.begin(300, 0.0)
    assert not watch.goes_on(0, 0.1)
