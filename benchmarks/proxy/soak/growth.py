"""How fast memory grows with the requests that were sent."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def mb_per_100k(samples: Sequence[tuple[int, int]]) -> float:
    """The slope of the line through (requests, bytes), by least squares; in MB for 100,000 requests."""
    requests, resident = zip(*samples, strict=True)
    return statistics.linear_regression(requests, resident).slope * 100_000 / 1e6
