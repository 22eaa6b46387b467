"""How long to wait before the next try.

When a child that died is started again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

_MAX_DOUBLINGS = 32  # past any sensible cap; keeps 2**n from growing without end


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubling from `first_s` to at most `cap_s`, then jittered over the upper half.

    The jitter keeps a fleet that failed together from coming back together; see
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ ("equal jitter").
    """

    first_s: float
    cap_s: float

    def delay_s(self, failures: int, rng: random.Random) -> float:
        """Seconds to wait after `failures` failed tries in a row (1 or more)."""
        full = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, _MAX_DOUBLINGS))
        return full * (0.5 + rng.random() / 2)


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
