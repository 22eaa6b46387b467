"""When a canary is rolled back: by lost workers, or by failures that chance does not explain."""

from __future__ import annotations

import random

import pytest

from tfleet.proxy.balancing.canary_health import chance, rollback_reason
from tfleet.proxy.balancing.version_tries import Tries


def test_two_lost_workers_are_enough() -> None:
    assert rollback_reason(Tries(), Tries(), 1) == ""
    assert rollback_reason(Tries(), Tries(), 2) == "2 of its workers were lost"


@pytest.mark.parametrize(
    ("canary", "stable"),
    [
        (Tries(0, 19), Tries(1000, 0)),  # too few tries
        (Tries(98, 2), Tries(100_000, 0)),  # too few failures
        (Tries(1000, 0), Tries(0, 1000)),
        (Tries(50, 50), Tries(500, 500)),  # both fail alike
        (Tries(20, 5), Tries(20, 4)),
        (Tries(20, 3), Tries(0, 0)),  # nothing to compare with
    ],
)
def test_what_may_be_chance_stays(canary: Tries, stable: Tries) -> None:
    assert rollback_reason(canary, stable, 0) == ""


@pytest.mark.parametrize(
    ("canary", "stable"),
    [
        (Tries(17, 3), Tries(1000, 0)),
        (Tries(10, 10), Tries(180, 2)),
        (Tries(900, 100), Tries(8900, 100)),
        (Tries(0, 100_000), Tries(1_000_000, 0)),
    ],
)
def test_what_is_no_chance_goes(canary: Tries, stable: Tries) -> None:
    reason = rollback_reason(canary, stable, 0)
    assert reason == (
        f"{canary.failed} of {sum(canary)} tries failed, "
        f"and {stable.failed} of {sum(stable)} at the stable version in the same time"
    )


def test_chance_is_that_of_fishers_tea() -> None:
    """Of eight cups four had the milk first; to name all four right by chance is one in seventy."""
    assert chance(Tries(0, 4), Tries(4, 0)) == pytest.approx(1 / 70)
    assert chance(Tries(1, 3), Tries(3, 1)) == pytest.approx(17 / 70)
    assert chance(Tries(4, 0), Tries(0, 4)) == pytest.approx(1)


def test_equal_versions_are_hardly_ever_rolled_back() -> None:
    rng = random.Random(7)
    wrong = 0
    for _ in range(2000):
        failed = [sum(rng.random() < 0.05 for _ in range(tries)) for tries in (100, 900)]
        canary, stable = Tries(100 - failed[0], failed[0]), Tries(900 - failed[1], failed[1])
        wrong += bool(rollback_reason(canary, stable, 0))
    assert wrong <= 6, "one in a thousand, and some luck"
