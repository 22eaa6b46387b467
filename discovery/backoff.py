"""How long to wait before the next try."""

from __future__ import annotations

import random
from dataclasses import dataclass

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
