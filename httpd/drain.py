"""How long a server takes to stop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DrainTimes:
    """`grace_s` is how long requests are still accepted after SIGTERM, `timeout_s` how long those in flight
    may take after that.
    """

    grace_s: float
    timeout_s: float
