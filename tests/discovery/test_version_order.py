"""Which version gets the requests that name none, and how many percent of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.discovery.plan import Canary, Plan
from tfleet.discovery.version_order import version_rank, version_shares, versions_in_order

_ROLLOUT = Plan("1", Canary("2", 10.0), "0")


def test_versions_of_digits_are_numbers_above_all_texts() -> None:
    wanted = ["", "alpha", "v10", "v9", "1", "9", "10", "0011", "9" * 5000]
    assert sorted(set(wanted), key=version_rank) == wanted


@pytest.mark.parametrize(
    ("ready", "order"),
    [
        ({"1": 2, "2": 1}, ("1", "2")),
        ({"1": 2, "2": 2}, ("2", "1")),
        ({"9": 1, "10": 1, "z": 1}, ("10", "9", "z")),
        ({"1": 0, "2": 1}, ("2", "1")),
        ({}, ()),
    ],
)
def test_without_a_plan_the_most_workers_serve(ready: dict[str, int], order: tuple[str, ...]) -> None:
    assert versions_in_order(ready, None, canary=False) == order


@pytest.mark.parametrize(
    ("ready", "percent"),
    [
        ({"1": 1, "2": 1}, {"1": 90.0, "2": 10.0}),
        ({"1": 1, "2": 0}, {"1": 100.0, "2": 0.0}),
        ({"1": 1, "2": 9, "3": 9}, {"1": 90.0, "2": 10.0, "3": 0.0}),
        ({"0": 1, "1": 0, "2": 1}, {"0": 90.0, "1": 0.0, "2": 10.0}),
        ({"2": 1, "3": 1}, {"2": 10.0, "3": 90.0}),
        ({"1": 0, "2": 1}, {"1": 0.0, "2": 100.0}),
        ({"1": 0, "2": 0}, {"1": 0.0, "2": 0.0}),
    ],
)
def test_shares_pass_over_versions_that_nobody_has(ready: dict[str, int], percent: dict[str, float]) -> None:
    assert version_shares(ready, _ROLLOUT) == percent


_READY = st.dictionaries(st.sampled_from(["0", "1", "2", "3", "a"]), st.integers(0, 3))


@given(_READY, st.sampled_from([None, Plan("1"), _ROLLOUT]))
def test_shares_sum_to_all_of_what_is_ready(ready: dict[str, int], plan: Plan | None) -> None:
    percent = version_shares(ready, plan)
    assert sum(percent.values()) == (100.0 if any(ready.values()) else 0.0)
    assert all(not percent[version] for version, workers in ready.items() if not workers)
