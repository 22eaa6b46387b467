"""Exponential back-off with jitter, and the restart policy of supervised child processes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

_MAX_DOUBLINGS = 32  # beyond any sensible cap; bounds 2**n


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubles from `first_s` to at most `cap_s`, with jitter over the upper half.

    Jitter keeps processes that failed together from retrying together; see
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ ("equal jitter").
    """

    first_s: float
    cap_s: float

    def delay_s(self, failures: int, rng: random.Random) -> float:
        """Return the seconds to wait after `failures` consecutive failures (1 or more)."""
        full = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, _MAX_DOUBLINGS))
        return full * (0.5 + rng.random() / 2)


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Restarts a child without limit, with increasing delays while it keeps failing soon after its start.

    A child that ran for `healthy_after_s` seconds counts as recovered: its next failure is the first of a
    new series.
    """

    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=0.5, cap_s=30.0))
    healthy_after_s: float = 60.0

    def failures_after(self, failures: int, uptime_s: float) -> int:
        """Return the consecutive failures when a child ends that ran for `uptime_s` seconds after `failures`
        earlier ones.
        """
        return 1 if uptime_s >= self.healthy_after_s else failures + 1

    def delay_s(self, failures: int, rng: random.Random) -> float:
        """Return the seconds to wait before the restart after `failures` consecutive failures (1 or more)."""
        return self.backoff.delay_s(failures, rng)
