"""The canary's share: exact by turns, and steady by keys."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.proxy.balancing.shares import Turns, sticky_percentile

KEYS = [f"client-{n}".encode() for n in range(5000)]


@pytest.mark.parametrize("percent", [0.0, 0.5, 1.0, 10.0, 33.3, 50.0, 99.0, 100.0])
def test_turns_make_up_the_share(percent: float) -> None:
    turns = Turns()
    taken = [turns.take(percent) for _ in range(5000)]
    assert abs(sum(taken) - 50 * percent) <= 1


@given(st.lists(st.floats(0, 100), max_size=200))
def test_a_changing_share_is_kept_in_sum(percents: list[float]) -> None:
    turns = Turns()
    assert abs(sum(map(turns.take, percents)) - sum(percents) / 100) <= 1


def test_turns_are_spread_evenly() -> None:
    turns = Turns()
    taken = [number for number in range(100) if turns.take(10.0)]
    assert [after - before for before, after in pairwise(taken)] == [10] * 9


@pytest.mark.parametrize("percent", [1.0, 10.0, 50.0, 90.0])
def test_keys_make_up_the_share(percent: float) -> None:
    share = sum(sticky_percentile("m", "2", key) < percent for key in KEYS) / len(KEYS)
    assert abs(share * 100 - percent) < 2


def test_a_key_that_has_the_canary_keeps_it_as_it_grows() -> None:
    has = {key for key in KEYS if sticky_percentile("m", "2", key) < 10}
    assert has <= {key for key in KEYS if sticky_percentile("m", "2", key) < 50}


def test_another_canary_gets_other_keys() -> None:
    one, other = ({key for key in KEYS if sticky_percentile("m", v, key) < 10} for v in ("2", "3"))
    assert len(one & other) < 0.3 * len(one)
