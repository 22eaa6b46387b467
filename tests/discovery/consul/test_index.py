import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.discovery.consul.health import answer_timeout_s, next_index


@pytest.mark.parametrize(
    ("asked", "answered", "then"),
    [(0, 7, 7), (7, 7, 7), (7, 9, 9), (9, 7, 0), (5, 0, 1), (0, 0, 1), (3, -1, 1)],
)
def test_the_rules_of_blocking_queries(asked: int, answered: int, then: int) -> None:
    assert next_index(asked, answered) == then


@given(asked=st.integers(0), answered=st.integers())
def test_no_answer_makes_the_watch_ask_below_zero_or_spin(asked: int, answered: int) -> None:
    then = next_index(asked, answered)
    assert then >= 0
    # 0 asks without waiting: that happens at most once, because the next answer is taken as it is.
    assert then > 0 or next_index(then, answered) > 0


def test_an_answer_may_exceed_the_wait_by_consuls_jitter() -> None:
    assert answer_timeout_s(32.0) > 32.0 + 32.0 / 16
