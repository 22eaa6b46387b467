"""How many retries a proxy may send, so that a dying fleet is not hammered by those who want to help."""

from __future__ import annotations

import math
from collections.abc import Callable

_WINDOW_S = 10


class RetryBudget:
    """Allows retries up to a share of the requests of the last ten seconds, and some in any case.

    `share` is 0 to 1. `floor_per_s` is how many retries a second are allowed however few requests there are.
    Finagle's retry budgets work so: https://twitter.github.io/finagle/guide/Clients.html#retries
    """

    def __init__(self, share: float, floor_per_s: float, clock: Callable[[], float]) -> None:
        self._share = share
        self._floor = floor_per_s * _WINDOW_S
        self._clock = clock
        self._second = -_WINDOW_S
        self._requests = [0] * _WINDOW_S
        self._retries = [0] * _WINDOW_S

    def __repr__(self) -> str:
        return f"<RetryBudget retries={sum(self._retries)} of {self._allowed():.0f}>"

    def request(self) -> None:
        """Count a request, its retries not included."""
        self._requests[self._now()] += 1

    def take(self) -> bool:
        """Whether one more retry is allowed; if so it is counted."""
        now = self._now()
        if sum(self._retries) + 1 > self._allowed():
            return False
        self._retries[now] += 1
        return True

    def _allowed(self) -> float:
        return self._floor + self._share * sum(self._requests)

    def _now(self) -> int:
        """The slot of this second, after those of seconds gone by were emptied."""
        second = math.floor(self._clock())
        for passed in range(max(self._second + 1, second - _WINDOW_S + 1), second + 1):
            self._requests[passed % _WINDOW_S] = self._retries[passed % _WINDOW_S] = 0
        self._second = max(second, self._second)
        return self._second % _WINDOW_S
