"""Slow start: a worker that just came gets its share of the requests little by little.

Whoever comes to a fleet at work, or back to it, would at once be met by a full share of the load: with no
connections and threads made yet, and perhaps by just what it fell over before. The rules:

- In its first `window_s` a worker's turn grows from a tenth to a whole one, evenly with time. Envoy's slow
  start mode does the same with its defaults (`aggression` 1, `min_weight_percent` 10); HAProxy's `slowstart`
  and nginx' `slow_start` grow evenly too.
- Only the proportion counts: where nobody is warm the warmest has whole turns, and who is alone gets all.
- A fleet that starts is shared evenly: who is found ready within a window of the moment at which there was
  nobody is warm at once. None of the others has carried the load for long, so there is nobody to lean on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

WINDOW_S: Final = 5.0
_LEAST: Final = 0.1


@dataclass(frozen=True, slots=True)
class SlowStart:
    """How warm the workers of one pool are; all times on the caller's monotonic clock.

    `serving_since_s` is None while nobody gets requests. Of those who do the warmest is warm at `first_s`,
    and all are at `last_s`.
    """

    window_s: float = WINDOW_S
    serving_since_s: float | None = None
    first_s: float = 0.0
    last_s: float = 0.0

    def warm_at_s(self, now_s: float) -> float:
        """From when on a worker that becomes ready now has whole turns."""
        starting = self.serving_since_s is None or now_s - self.serving_since_s < self.window_s
        return now_s if starting else now_s + self.window_s

    def uneven(self, now_s: float) -> bool:
        """Whether somebody gets less than somebody else."""
        return now_s < self.last_s

    def turn(self, warm_at_s: float, now_s: float) -> float:
        """How much of a turn a worker has that is warm at that time: more than 0, and 1 for the warmest."""
        return self._warmth(warm_at_s, now_s) / self._warmth(self.first_s, now_s)

    def after(self, workers: int, cold: Sequence[float], now_s: float) -> SlowStart:
        """The same when so many workers get requests; `cold` is when those are warm that aren't yet."""
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
        return max(_LEAST, 1 - (warm_at_s - now_s) / self.window_s)
