"""When a child that died is started again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tfleet.discovery.backoff import Backoff


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Starts again without end, after ever longer waits while the child keeps dying young.

    A child that stayed up for `healthy_after_s` seconds had recovered: its next death counts as the first.
    """

    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=0.5, cap_s=30.0))
    healthy_after_s: float = 60.0

    def failures_after(self, failures: int, uptime_s: float) -> int:
        """Deaths in a row after `failures` earlier ones, for a child that was up for `uptime_s` seconds."""
        return 1 if uptime_s >= self.healthy_after_s else failures + 1

    def delay_s(self, failures: int, rng: random.Random) -> float:
        """Seconds to wait before the start that follows `failures` deaths in a row (1 or more)."""
        return self.backoff.delay_s(failures, rng)
