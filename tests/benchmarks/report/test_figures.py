import itertools
import random

import pytest

from benchmarks.report.figures import figures, rate


def _bursts(began_s: float, every_s: float, count: int, size: int) -> list[float]:
    """Answers a tenth of a millisecond apart in each batch."""
    return [began_s + every_s * (at + 1) + 1e-4 * one for at in range(count) for one in range(size)]


@pytest.mark.parametrize("size", [1, 4, 5, 8, 16])
@pytest.mark.parametrize("every_s", [0.01, 0.1, 1.8])
@pytest.mark.parametrize("count", [8, 9, 30])
def test_answers_in_bursts_have_the_rate_of_their_images(size: int, every_s: float, count: int) -> None:
    assert rate(10.0, _bursts(10.0, every_s, count, size)) == pytest.approx(size / every_s, rel=0.001)


def test_answers_at_random_times_have_their_rate() -> None:
    chance = random.Random(1)
    moments = itertools.accumulate(chance.expovariate(50) for _ in range(5000))
    assert rate(0.0, list(moments)) == pytest.approx(50, rel=0.05)


def test_alternating_callers_have_the_rate_of_both() -> None:
    answered = _bursts(0.0, 0.1, 30, 8) + _bursts(0.04, 0.1, 30, 8)
    assert rate(0.0, answered) == pytest.approx(160, rel=0.03)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_few_bursts_give_no_rate(count: int) -> None:
    assert rate(0.0, _bursts(0.0, 1.8, count, 16)) == 0.0


def test_answers_at_the_end_of_a_long_silence_are_no_rate() -> None:
    assert rate(0.0, _bursts(3.0, 0.02, 60, 4)) == 0.0


def test_a_beginning_that_is_slow_does_not_count() -> None:
    answered = [0.5, 1.0, 1.5, *(2.0 + number / 100 for number in range(801))]
    assert rate(0.0, answered) == pytest.approx(100, rel=0.001)


@pytest.mark.parametrize("answered", [[], [1.0], [1.0, 1.0]])
def test_too_little_data_gives_no_rate(answered: list[float]) -> None:
    assert rate(0.0, answered) == 0.0


def test_p50_and_p99_are_in_milliseconds() -> None:
    found = figures(0.0, [(float(number), number / 1000) for number in range(1, 101)], failed=2)
    assert (found.p50_ms, found.p99_ms, found.answered, found.failed) == (50.5, 100, 100, 2)


def test_a_run_in_which_nothing_was_answered_has_figures() -> None:
    found = figures(0.0, [], failed=3)
    assert (found.per_second, found.too_few) == (0.0, False)


def test_figures_without_a_rate_say_too_few_answers() -> None:
    assert figures(0.0, [(1.0, 0.5), (2.0, 0.5)], failed=0).too_few
    assert not figures(0.0, [(number / 10, 0.1) for number in range(1, 50)], failed=0).too_few
