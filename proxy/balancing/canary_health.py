"""Whether a canary has to be rolled back. A pure function of what was counted since it got requests.

The rules:

- Two of its workers that were lost are enough, if the stable version lost fewer: a model that ends its
  workers ends all that get it. A proxy that has lost its network loses the workers of both.
- Else it needs at least 20 tries and 3 failures, and to be worse than the stable version by more than chance:
  Fisher's exact test, one-sided. (R. A. Fisher, "Statistical Methods for Research Workers", section 21.02.)
  So a backend that fails for both versions rolls nothing back.
- The test is made once a second, and one look of many is always unlucky. With one in 100,000 for each look,
  about one in 2,000 canaries that fail as often as the stable version (2 % of 25 tries a second, for an hour)
  would be rolled back; with one in 1,000 it would be 3 of 100.
- A canary that gets all requests leaves the stable version none. Then it is compared with all tries of the
  stable version since the proxy started.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tfleet.proxy.balancing.version_tries import Tries

_LOST_WORKERS: Final = 2
_MIN_TRIES: Final = 20
_MIN_FAILURES: Final = 3
_CHANCE: Final = 0.00001
_NEGLIGIBLE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class VersionCounts:
    """What was counted of a version: its tries, and how many of its workers were lost."""

    tries: Tries
    lost_workers: int = 0

    def since(self, before: VersionCounts) -> VersionCounts:
        """What came after `before`."""
        return VersionCounts(self.tries.since(before.tries), self.lost_workers - before.lost_workers)


def rollback_reason(canary: VersionCounts, stable: VersionCounts, stable_ever: Tries) -> str:
    """Why the canary has to go, in one line; empty if it may stay.

    `canary` and `stable` are counted since the canary got requests, `stable_ever` since the proxy started.
    """
    if canary.lost_workers >= _LOST_WORKERS and canary.lost_workers > stable.lost_workers:
        return f"{canary.lost_workers} of its workers were lost"
    alone = sum(stable.tries) < _MIN_TRIES
    compared = stable_ever if alone else stable.tries
    tries = canary.tries
    if sum(tries) < _MIN_TRIES or tries.failed < _MIN_FAILURES or chance(tries, compared) > _CHANCE:
        return ""
    when = "before" if alone else "in the same time"
    return (
        f"{tries.failed} of {sum(tries)} tries failed, "
        f"and {compared.failed} of {sum(compared)} at the stable version {when}"
    )


def chance(canary: Tries, stable: Tries) -> float:
    """How likely the canary has so many of all failures, or more, if both versions fail alike: 0 to 1.

    1 for a canary that fails no more often than the stable version.
    """
    tries, failures = sum(canary), canary.failed + stable.failed
    # No worse than the stable version: most terms would have to be added, to a sum that says nothing.
    if canary.failed * sum(stable) <= stable.failed * tries:
        return 1.0
    everything = tries + sum(stable)
    total = 0.0
    for failed in range(canary.failed, min(tries, failures) + 1):
        # Hypergeometric: of all tries, those that failed, and how many of these were the canary's.
        term = math.exp(
            _ln_choose(failures, failed)
            + _ln_choose(everything - failures, tries - failed)
            - _ln_choose(everything, tries)
        )
        total += term
        if term < _NEGLIGIBLE and failed * everything > failures * tries:
            break  # beyond the mean the terms only fall
    return min(total, 1.0)


def _ln_choose(of: int, some: int) -> float:
    if some < 0 or some > of:
        return -math.inf
    return math.lgamma(of + 1) - math.lgamma(some + 1) - math.lgamma(of - some + 1)
