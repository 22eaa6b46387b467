from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.runtime.backoff import Backoff, RestartPolicy


@given(failures=st.integers(1, 10**9), seed=st.integers())
def test_a_delay_is_jittered_in_the_upper_half(failures: int, seed: int) -> None:
    full = min(30.0, 0.5 * 2 ** min(failures - 1, 20))
    assert full / 2 <= Backoff(0.5, 30.0).delay_s(failures, random.Random(seed)) <= full


def test_jitter_spreads_restarts() -> None:
    backoff = Backoff(1.0, 30.0)
    assert backoff.delay_s(3, random.Random(1)) != backoff.delay_s(3, random.Random(2))


@pytest.mark.parametrize(
    ("failures", "uptime_s", "expected"),
    [(0, 0.1, 1), (1, 0.1, 2), (1, 59.9, 2), (9, 60.0, 1), (9, 3600.0, 1), (0, 3600.0, 1)],
)
def test_a_death_after_a_healthy_life_counts_as_the_first(
    failures: int, uptime_s: float, expected: int
) -> None:
    assert RestartPolicy(healthy_after_s=60.0).failures_after(failures, uptime_s) == expected


@pytest.mark.parametrize(("failures", "full_s"), [(1, 0.5), (2, 1.0), (5, 8.0), (7, 30.0), (10_000, 30.0)])
def test_the_wait_doubles_up_to_the_cap(failures: int, full_s: float) -> None:
    delays = [RestartPolicy().delay_s(failures, random.Random(seed)) for seed in range(50)]
    assert all(full_s / 2 <= delay <= full_s for delay in delays)
    assert len(set(delays)) > 1, "no jitter"
