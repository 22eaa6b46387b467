"""What requests are routed by: the versions that workers have, and those that a `tfleet up --models` loads.

It is worked out when the workers, the plans or what is loading have changed, and not for each request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tfleet.discovery.plan_watch import Plans
from tfleet.discovery.reported_versions import ReportedVersion
from tfleet.proxy.balancing.pool import Pool
from tfleet.proxy.balancing.versions import Fleet, Known, ModelVersion, loading_versions, with_loading

_EVERY_S: Final = 1.0


class LoadingVersions:
    """The versions that are loading now. `clock` tells Unix seconds.

    An entry becomes stale as time passes, if nobody confirms it: they are looked at once a second at most.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: tuple[ReportedVersion, ...] = ()
        self._now: tuple[ModelVersion, ...] = ()
        self._looked_s = 0.0

    def __repr__(self) -> str:
        return f"<LoadingVersions {len(self._now)} of {len(self._entries)} entries>"

    def use(self, entries: tuple[ReportedVersion, ...]) -> None:
        """These are the entries from now on."""
        self._entries = entries
        self._look(self._clock())

    def now(self) -> tuple[ModelVersion, ...]:
        """Those that are loading: the same object for as long as nothing changes."""
        if self._entries:
            now_s = self._clock()
            if not 0 <= now_s - self._looked_s < _EVERY_S:
                self._look(now_s)
        return self._now

    def _look(self, now_s: float) -> None:
        self._looked_s = now_s
        found = tuple(loading_versions(self._entries, now_s))
        if found != self._now:
            self._now = found


@dataclass(frozen=True, slots=True)
class FleetView:
    """The versions that workers have, with their numbers. `known` are also those that are loading.

    `is_simple` is whether a request that names nothing may go to any worker.
    """

    pool: Pool
    loading: tuple[ModelVersion, ...]
    fleet: Fleet
    known: Fleet
    is_simple: bool


def fleet_view(pool: Pool, plans: Plans, loading: tuple[ModelVersion, ...]) -> FleetView:
    """The view of these workers."""
    fleet = {key: Known(len(each.members), len(each.routable)) for key, each in pool.by_version().items()}
    known = with_loading(fleet, loading) if loading else fleet
    return FleetView(pool, loading, fleet, known, _is_simple(fleet, known, plans))


def _is_simple(fleet: Fleet, known: Fleet, plans: Plans) -> bool:
    if len(fleet) != 1 or plans.default or len({key.model for key in known}) > 1:
        return False
    (only,) = fleet
    plan = plans.models.get(only.model)
    # Where the plan names another version, the only one stands in for it, which is counted.
    return plan is None or (plan.canary is None and plan.stable == only.version)
