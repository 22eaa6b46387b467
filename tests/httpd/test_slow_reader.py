from tfleet.httpd.timers import SlowReaderWatch


def test_a_slow_reader_is_waited_for() -> None:
    watch = SlowReaderWatch(10.0)
    watch.begin(300, 0.0)
    assert watch.goes_on(200, 9.0)
    assert watch.goes_on(200, 18.0)
    assert watch.goes_on(1, 18.9)
    assert watch.goes_on(1, 28.8)


def test_a_reader_that_stops_is_given_up() -> None:
    watch = SlowReaderWatch(10.0)
    watch.begin(300, 0.0)
    assert watch.goes_on(300, 9.9)
    assert not watch.goes_on(300, 10.0)


def test_a_reader_that_took_all_is_not_watched() -> None:
    watch = SlowReaderWatch(10.0)
    watch.begin(300, 0.0)
    assert not watch.goes_on(0, 0.1)
