"""Which version of a model gets the requests that name none. Pure functions.

The rules:

- With a plan the canary gets its share, and the stable version the rest. A version without ready workers is
  passed over: the canary for the stable one, that for the previous one, and that for any which serves.
- Without a plan the version with the most ready workers serves; of equals the higher one. So a new version
  takes over once it has as many workers as the old one, and while a fleet is half rolled nothing flaps.
- Versions of digits compare as numbers, and rank above all others, which compare as texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tfleet.discovery.plan import Plan

_ALL: Final = 100.0


def version_rank(version: str) -> tuple[bool, int, str]:
    """A sort key: higher versions are greater."""
    is_number = version.isascii() and version.isdigit()
    # Compared by length first: Python refuses to read numbers of thousands of digits.
    digits = version.lstrip("0") if is_number else ""
    return is_number, len(digits), digits if is_number else version


def versions_in_order(ready: Mapping[str, int], plan: Plan | None, *, canary: bool) -> tuple[str, ...]:
    """The versions for a request that names none, the first choice first.

    `ready` has the number of ready workers of each version. `canary` is whether the plan's canary is the
    first choice. Versions without ready workers are last.
    """
    by_size = sorted(ready, key=lambda version: (ready[version], version_rank(version)), reverse=True)
    chosen: list[str] = []
    if plan is not None:
        first = [plan.canary.version] if canary and plan.canary is not None else []
        chosen = [version for version in (*first, plan.stable, plan.previous) if version in ready]
        if plan.canary is not None and not first:
            # The canary is no stand-in while anything else serves: nobody has promoted it yet.
            last = plan.canary.version
            by_size.sort(key=lambda version: version == last)
    order = dict.fromkeys([*chosen, *by_size])
    return (*(v for v in order if ready[v]), *(v for v in order if not ready[v]))


@dataclass(frozen=True, slots=True)
class StandIn:
    """A version that the plan gives `percent` of the requests, and that has no ready worker.

    `stand_in` is the version that answers them; None if there is none.
    """

    version: str
    percent: float
    stand_in: str | None


def find_stand_ins(ready: Mapping[str, int], plan: Plan | None) -> list[StandIn]:
    """The versions of a plan that others stand in for. `ready` is as for `versions_in_order`."""
    if plan is None:
        return []
    of_canary = 0.0 if plan.canary is None else plan.canary.percent
    planned = [(plan.stable, _ALL - of_canary, False)]
    if plan.canary is not None:
        planned.append((plan.canary.version, of_canary, True))
    found = []
    for version, percent, canary in planned:
        if percent > 0 and not ready.get(version):
            first = next(iter(versions_in_order(ready, plan, canary=canary)), None)
            found.append(StandIn(version, percent, first if first is not None and ready[first] else None))
    return found


def version_shares(ready: Mapping[str, int], plan: Plan | None) -> dict[str, float]:
    """How many percent of the requests that name no version each version gets. All 0 if none is ready."""
    percent = dict.fromkeys(ready, 0.0)
    if not any(ready.values()):
        return percent
    of_canary = plan.canary.percent if plan is not None and plan.canary is not None else 0.0
    for canary, share in ((True, of_canary), (False, _ALL - of_canary)):
        percent[versions_in_order(ready, plan, canary=canary)[0]] += share
    return percent
