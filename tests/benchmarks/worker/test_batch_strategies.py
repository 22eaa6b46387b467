from benchmarks.worker.batch_strategies import SERIAL, Strategy, absurd, best

_BATCHED = Strategy(16, 1, 0)
_TWO = Strategy(8, 2, 0)


def test_the_best_strategies_include_the_plain_one() -> None:
    slow, ahead = Strategy(4, 1, 0), Strategy(8, 1, 1)
    rates = {SERIAL: 115.0, _BATCHED: 150.0, slow: 140.0, ahead: 170.0, _TWO: 182.0, Strategy(4, 2, 2): 181.0}
    assert best(rates) == [_TWO, Strategy(4, 2, 2), ahead, _BATCHED]


def test_an_implausibly_fast_way_is_an_error() -> None:
    """Many times as fast as one image at a time: that is an error in measuring, and no ceiling."""
    rates = {SERIAL: 115.0, _BATCHED: 18_952.0, _TWO: 182.0}
    assert absurd(rates) == [_BATCHED]
    assert best(rates) == [_TWO, SERIAL]
