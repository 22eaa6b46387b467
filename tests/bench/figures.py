"""What a load gave."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_FILLS = 0.2  # the share of the time in which the queues fill


@dataclass(frozen=True, slots=True)
class Figures:
    """Answers a second, milliseconds of the middle and the slowest hundredth, and how many there were."""

    per_second: float
    p50_ms: float
    p99_ms: float
    answered: int
    failed: int


def rate(began_s: float, answered_s: Sequence[float]) -> float:
    """Answers a second from the moments of the answers: the slope of the line through their count.

    Answers come in batches, so counting them and dividing by the time would be wrong by a batch; the first
    fifth of the time, in which the queues fill, is left out.
    """
    if not answered_s:
        return 0.0
    times_s = sorted(answered_s)
    from_s = began_s + (times_s[-1] - began_s) * _FILLS
    counted = [(time_s, number) for number, time_s in enumerate(times_s) if time_s >= from_s]
    if counted[0][0] == counted[-1][0]:
        return 0.0
    return statistics.linear_regression(*zip(*counted, strict=True)).slope


def figures(began_s: float, answered: Sequence[tuple[float, float]], failed: int) -> Figures:
    """Of (when it was answered, how long it took in seconds)."""
    took_ms = sorted(took_s * 1000 for _, took_s in answered) or [0.0]
    return Figures(
        per_second=rate(began_s, [time_s for time_s, _ in answered]),
        p50_ms=statistics.median(took_ms),
        p99_ms=took_ms[int(len(took_ms) * 0.99)],
        answered=len(answered),
        failed=failed,
    )
