"""Slow start: a worker that became ready gets its share of the requests gradually.

A full share at once would meet a worker without warm connections and threads, and perhaps cause the
overload that it just failed under. The rules:

- In its first `window_s` a worker's weight grows linearly from a tenth to 1. Envoy's slow start mode does
  the same by default (`aggression` 1, `min_weight_percent` 10); HAProxy's `slowstart` and nginx'
  `slow_start` grow linearly, too.
- Only proportions count: if no worker is warm, the warmest has weight 1, and a single worker gets all
  requests.
- When a whole fleet starts, the load is shared evenly: workers that become ready within one window of the
  time when there were none are warm at once. None of the others has carried the load for long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tfleet.proxy.settings import SLOW_START_S

_MIN_WEIGHT: Final = 0.1


@dataclass(frozen=True, slots=True)
class SlowStart:
    """How warm the workers of one pool are. All times are on the caller's monotonic clock.

    `serving_since_s` is None while no worker is routable. Of the routable workers the first is warm at
    `first_s`, and all are at `last_s`.
    """

    window_s: float = SLOW_START_S
    serving_since_s: float | None = None
    first_s: float = 0.0
    last_s: float = 0.0

    def warm_at_s(self, now_s: float) -> float:
        """Return when a worker that becomes ready now will have its full weight."""
        starting = self.serving_since_s is None or now_s - self.serving_since_s < self.window_s
        return now_s if starting else now_s + self.window_s

    def uneven(self, now_s: float) -> bool:
        """Whether any worker has less weight than another."""
        return now_s < self.last_s

    def weight(self, warm_at_s: float, now_s: float) -> float:
        """Return the weight of a worker that is warm at that time: over 0, and 1 for the warmest."""
        return self._warmth(warm_at_s, now_s) / self._warmth(self.first_s, now_s)

    def after(self, workers: int, cold: Sequence[float], now_s: float) -> SlowStart:
        """Return the state with so many routable workers; `cold` has the times when those still cold become
        warm.
        """
        if not workers:
            return SlowStart(self.window_s)
        return replace(
            self,
            serving_since_s=now_s if self.serving_since_s is None else self.serving_since_s,
            first_s=min(cold) if len(cold) == workers else now_s,
            last_s=max(cold, default=now_s),
        )

    def _warmth(self, warm_at_s: float, now_s: float) -> float:
        if now_s >= warm_at_s:
            return 1.0
        return max(_MIN_WEIGHT, 1 - (warm_at_s - now_s) / self.window_s)
