from tests.bench.ways import SERIAL, Way, absurd, best

_BATCHED = Way(16, 1, 0)
_TWO = Way(8, 2, 0)


def test_the_best_way_is_the_fastest() -> None:
    assert best({SERIAL: 115, _BATCHED: 174, _TWO: 182}) == _TWO


def test_a_way_that_is_more_than_twice_as_fast_as_one_image_after_the_other_is_an_error_and_no_ceiling() -> (
    None
):
    rates = {SERIAL: 115.0, _BATCHED: 18_952.0, _TWO: 182.0}
    assert absurd(rates) == [_BATCHED]
    assert best(rates) == _TWO
