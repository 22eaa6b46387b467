"""When a canary is rolled back: by lost workers, or by failures that chance does not explain."""

from __future__ import annotations

import random

import pytest

from tfleet.proxy.balancing.canary_health import VersionCounts, chance, rollback_reason
from tfleet.proxy.balancing.version_tries import Tries

NOTHING = Tries()


def reason_of(canary: Tries, stable: Tries, stable_ever: Tries = NOTHING) -> str:
    return rollback_reason(VersionCounts(canary), VersionCounts(stable), stable_ever)


def reason_of_lost(canary: int, stable: int) -> str:
    return rollback_reason(VersionCounts(NOTHING, canary), VersionCounts(NOTHING, stable), NOTHING)


def test_two_lost_workers_are_enough() -> None:
    assert reason_of_lost(1, 0) == ""
    assert reason_of_lost(2, 0) == "2 of its workers were lost"
    assert reason_of_lost(3, 2) == "3 of its workers were lost"


def test_a_proxy_without_network_blames_no_canary() -> None:
    assert reason_of_lost(2, 2) == ""
    assert reason_of_lost(2, 8) == ""


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
    assert reason_of(canary, stable) == ""


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
    assert reason_of(canary, stable) == (
        f"{canary.failed} of {sum(canary)} tries failed, "
        f"and {stable.failed} of {sum(stable)} at the stable version in the same time"
    )


def test_a_canary_with_all_requests_is_compared_with_before() -> None:
    assert reason_of(Tries(0, 500), Tries(3, 0), Tries(900, 1)) == (
        "500 of 500 tries failed, and 1 of 901 at the stable version before"
    )
    assert reason_of(Tries(0, 500), Tries(3, 0), Tries(0, 900)) == ""
    assert reason_of(Tries(0, 500), Tries(0, 0), Tries(0, 0)) == "", "nothing to compare with"


def test_chance_is_that_of_fishers_tea() -> None:
    """Of eight cups four had the milk first; to name all four right by chance is one in seventy."""
    assert chance(Tries(0, 4), Tries(4, 0)) == pytest.approx(1 / 70)
    assert chance(Tries(1, 3), Tries(3, 1)) == pytest.approx(17 / 70)
    assert chance(Tries(4, 0), Tries(0, 4)) == 1


def test_a_better_canary_costs_no_time() -> None:
    """With all terms of the sum it would be minutes."""
    assert chance(Tries(100_000_000, 0), Tries(0, 100_000_000)) == 1


def test_equal_versions_are_hardly_ever_rolled_back() -> None:
    """One look each second, for five minutes, at 5 % of failures."""
    rng = random.Random(7)
    wrong = 0
    for _ in range(10):
        canary, stable = Tries(), Tries()
        for _ in range(300):
            canary = more(canary, 10, rng)
            stable = more(stable, 90, rng)
            if reason_of(canary, stable):
                wrong += 1
                break
    assert wrong == 0


def more(tries: Tries, number: int, rng: random.Random) -> Tries:
    failed = sum(rng.random() < 0.05 for _ in range(number))
    return Tries(tries.answered + number - failed, tries.failed + failed)
