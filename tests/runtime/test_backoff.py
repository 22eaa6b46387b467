import random

from hypothesis import given
from hypothesis import strategies as st

from tfleet.runtime.backoff import Backoff


@given(failures=st.integers(1, 10**9), seed=st.integers())
def test_a_delay_is_jittered_in_the_upper_half(failures: int, seed: int) -> None:
    full = min(30.0, 0.5 * 2 ** min(failures - 1, 20))
    assert full / 2 <= Backoff(0.5, 30.0).delay_s(failures, random.Random(seed)) <= full


def test_two_that_failed_together_come_back_apart() -> None:
    backoff = Backoff(1.0, 30.0)
    assert backoff.delay_s(3, random.Random(1)) != backoff.delay_s(3, random.Random(2))
