import pytest

from tests.bench.figures import figures, rate


def test_the_rate_of_answers_that_come_in_batches_is_that_of_the_images() -> None:
    batches = [10 + 0.1 * number for number in range(1, 31) for _ in range(8)]
    assert rate(10.0, batches) == pytest.approx(80, rel=0.01)


def test_a_beginning_that_is_slow_does_not_count() -> None:
    answered = [0.5, 1.0, 1.5, *(2.0 + number / 100 for number in range(801))]
    assert rate(0.0, answered) == pytest.approx(100, rel=0.001)


@pytest.mark.parametrize("answered", [[], [1.0], [1.0, 1.0]])
def test_what_is_too_little_for_a_rate_is_none(answered: list[float]) -> None:
    assert rate(0.0, answered) == 0.0


def test_the_middle_and_the_slowest_hundredth_are_told_in_milliseconds() -> None:
    found = figures(0.0, [(float(number), number / 1000) for number in range(1, 101)], failed=2)
    assert (found.p50_ms, found.p99_ms, found.answered, found.failed) == (50.5, 100, 100, 2)


def test_a_run_in_which_nothing_was_answered_has_figures() -> None:
    assert figures(0.0, [], failed=3).per_second == 0.0
