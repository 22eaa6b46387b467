"""Whether somebody waits for the answer of a request that has its turn."""

import math

import pytest

from tfleet.worker.api.problems import RejectedError
from tfleet.worker.api.turn import Turn, check_wanted
from tfleet.worker.rejection import Rejection


@pytest.mark.parametrize(
    ("deadline_s", "gone", "reason"),
    [(0.0, False, Rejection.DEADLINE), (math.inf, True, Rejection.CLIENT_GONE)],
)
def test_what_nobody_waits_for_is_rejected(deadline_s: float, gone: bool, reason: Rejection) -> None:
    check_wanted(Turn(0, 0, math.inf), lambda: False)
    with pytest.raises(RejectedError) as raised:
        check_wanted(Turn(0, 0, deadline_s), lambda: gone)
    assert raised.value.reason is reason
