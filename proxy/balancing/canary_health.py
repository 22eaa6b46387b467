"""Whether a canary has to be rolled back. A pure function of what was counted since it got requests.

The rules:

- Two of its workers that were lost are enough: a model that ends its workers ends all that get it.
- Else it needs at least 20 tries and 3 failures, and to be worse than the stable version by more than chance:
  Fisher's exact test, one-sided, at one in a thousand. (R. A. Fisher, "Statistical Methods for Research
  Workers", section 21.02.) So a backend that fails for both versions rolls nothing back.
"""

from __future__ import annotations

import math
from typing import Final

from tfleet.proxy.balancing.version_tries import Tries

_LOST_WORKERS: Final = 2
_MIN_TRIES: Final = 20
_MIN_FAILURES: Final = 3
_CHANCE: Final = 0.001
_NEGLIGIBLE: Final = 1e-12


def rollback_reason(canary: Tries, stable: Tries, lost_workers: int) -> str:
    """Why the canary has to go, in one line; empty if it may stay."""
    if lost_workers >= _LOST_WORKERS:
        return f"{lost_workers} of its workers were lost"
    tries = sum(canary)
    if tries < _MIN_TRIES or canary.failed < _MIN_FAILURES or chance(canary, stable) > _CHANCE:
        return ""
    return (
        f"{canary.failed} of {tries} tries failed, "
        f"and {stable.failed} of {sum(stable)} at the stable version in the same time"
    )


def chance(canary: Tries, stable: Tries) -> float:
    """How likely the canary has so many of all failures, or more, if both versions fail alike: 0 to 1."""
    tries, failures = sum(canary), canary.failed + stable.failed
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
