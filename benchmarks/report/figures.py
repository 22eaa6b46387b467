"""The figures of a load: rate and latencies.

The rate is taken between events. Answers that come together, as a batch, are one event. A server's queues
fill in the first fifth of the time, which does not count, nor does the first event after it: its work was
done before. A rate needs some events, and they have to fill the time; where they don't there is none, as a
few stamps of one batch, microseconds apart, would give any figure.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_FILLS: Final = 0.2  # the share of the time in which the queues fill
_TOGETHER: Final = 0.25  # of the mean time for an answer: what comes sooner after another came with it
_LEAST_EVENTS: Final = 5
_LEAST_SHARE: Final = 0.5  # of the time, that the events which count have to span


@dataclass(frozen=True, slots=True)
class Figures:
    """Responses a second, p50 and p99 in milliseconds, and the number of responses."""

    per_second: float
    p50_ms: float
    p99_ms: float
    answered: int
    failed: int

    @property
    def too_few(self) -> bool:
        """Whether there were responses, but too few for a rate."""
        return self.answered > 0 and not self.per_second


def rate(began_s: float, answered_s: Sequence[float]) -> float:
    """Responses a second, from their times; 0 if there are too few."""
    if not answered_s:
        return 0.0
    times_s = sorted(answered_s)
    whole_s = times_s[-1] - began_s
    from_s = began_s + whole_s * _FILLS
    events = [one for one in _events(times_s, whole_s / len(times_s) * _TOGETHER) if one[0] >= from_s]
    span_s = events[-1][0] - events[0][0]
    if len(events) < _LEAST_EVENTS or span_s < whole_s * _LEAST_SHARE:
        return 0.0
    return sum(count for _, count in events[1:]) / span_s


def _events(times_s: Sequence[float], together_s: float) -> list[tuple[float, int]]:
    """When each ended, and how many answers it had."""
    events = [(times_s[0], 1)]
    for time_s in times_s[1:]:
        end_s, count = events[-1]
        if time_s - end_s <= together_s:
            events[-1] = (time_s, count + 1)
        else:
            events.append((time_s, 1))
    return events


def figures(began_s: float, answered: Sequence[tuple[float, float]], failed: int) -> Figures:
    """The figures of responses, each given as (time, seconds that it took)."""
    took_ms = sorted(took_s * 1000 for _, took_s in answered) or [0.0]
    return Figures(
        per_second=rate(began_s, [time_s for time_s, _ in answered]),
        p50_ms=statistics.median(took_ms),
        p99_ms=took_ms[int(len(took_ms) * 0.99)],
        answered=len(answered),
        failed=failed,
    )
