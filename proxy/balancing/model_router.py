"""Finds the workers that may answer a request, by what the request names and by the plan of its model.

The rules are in versions.py; the state is here: the plans, the default model, and how far the canaries' turns
have come.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tfleet.contract.problem import ProblemError
from tfleet.discovery.plan import STICKY_REQUEST_ID, Canary, Plan
from tfleet.discovery.plan_watch import UNREAD, Plans
from tfleet.httpd.http1.request import RequestHead
from tfleet.proxy.balancing.candidates import Candidates, VersionCandidates
from tfleet.proxy.balancing.fleet_view import FleetView, LoadingVersions, fleet_view
from tfleet.proxy.balancing.mirror_counts import MirrorCounts, canaries_of
from tfleet.proxy.balancing.shares import Turns, sticky_percentile
from tfleet.proxy.balancing.version_counter import VersionCounter
from tfleet.proxy.balancing.versions import (
    ANY,
    Fleet,
    ModelVersion,
    Wanted,
    named_version,
    not_ready,
    order_without_version,
    undecided,
    wanted_model,
)
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.problems import NO_WORKER

_NONE: Final = Plans()
_UNKNOWN: Final = 404


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes. `order` are the versions that may answer it, the first choice first; empty where
    any worker may.
    """

    candidates: Candidates
    order: tuple[ModelVersion, ...] = ()


@dataclass(frozen=True, slots=True)
class MirrorTurn:
    """A request of the stable version of which the canary gets a copy."""

    stable: ModelVersion
    canary: ModelVersion


class ModelRouter:
    """Routes requests by model and version. It belongs to one event loop.

    `plans` are what is known of the plans, None while they have not been read. `clock` tells Unix seconds.
    """

    def __init__(
        self, table: WorkerTable, plans: Plans | None = _NONE, clock: Callable[[], float] = time.time
    ) -> None:
        self.plans = UNREAD
        self.fallbacks = VersionCounter(
            "tfleet_proxy_version_fallbacks", "Requests of a version that another one got"
        )
        self.mirror_counts = MirrorCounts()
        self.table = table
        self._loading = LoadingVersions(clock)
        self._anywhere = Route(table)
        self._turns: dict[str, Turns] = {}
        self._mirror_turns: dict[str, Turns] = {}
        self._view: FleetView | None = None
        if plans is not None:
            self.use_plans(plans)

    def __repr__(self) -> str:
        return f"<ModelRouter plans={len(self.plans.models)} versions={len(self.fleet)}>"

    def use_plans(self, plans: Plans) -> None:
        """Route by these plans from now on."""
        self.plans, self._view = plans, None
        self._loading.use(plans.loading)
        for all_turns in (self._turns, self._mirror_turns):
            for ended in all_turns.keys() - plans.models.keys():
                del all_turns[ended]
        self.mirror_counts.count_only(canaries_of(plans.models))

    @property
    def fleet(self) -> Fleet:
        """The versions that workers have, with their numbers."""
        return self._look().fleet

    def _look(self) -> FleetView:
        """What the workers, the plans and what is loading say together."""
        loading, view = self._loading.now(), self._view
        if view is None or view.pool is not self.table.pool or view.loading is not loading:
            view = self._view = fleet_view(self.table.pool, self.plans, loading)
        return view

    def route(self, wanted: Wanted, head: RequestHead) -> Route:
        """Where a request goes, by what it names. Raises ProblemError: 400, 404 or 503."""
        if not self.table.has_other(()):
            raise ProblemError(NO_WORKER)
        view = self._look()
        # The usual fleet, and the usual request: nothing to decide.
        if wanted is ANY and view.is_simple:
            return self._anywhere
        if not self.plans.read and (problem := undecided(view.fleet, wanted)) is not None:
            raise ProblemError(problem)
        try:
            model = wanted_model(view.known, wanted, self.plans.default, self.plans.models)
            version = named_version(view.known, model, wanted, self.plans.models.get(model))
        except ProblemError as error:
            if (
                wanted.model is None
                or error.problem.status != _UNKNOWN
                or not self.table.tries.left.has(wanted)
            ):
                raise
            raise ProblemError(not_ready(wanted.model, wanted.version)) from None
        versions, canary = self._without_version(model, head) if version is None else ((version,), False)
        order = tuple(ModelVersion(model, one) for one in versions)
        if not any(self.table.has_other_of(one, ()) for one in order):
            raise ProblemError(not_ready(model, version, view.loading))
        return Route(VersionCandidates(self.table, order, canary=canary), order)

    def mirror_turn(self, wanted: Wanted, route: Route) -> MirrorTurn | None:
        """Whether a request that goes this way is to be mirrored. Each call is a request of the sequence."""
        if wanted.version is not None or wanted.label is not None or not route.order:
            return None
        first = route.order[0]
        plan = self.plans.models.get(first.model)
        if plan is None or plan.canary is None or not plan.canary.mirror or first.version != plan.stable:
            return None
        if not self._mirror_turns.setdefault(first.model, Turns()).take(plan.canary.mirror):
            return None
        return MirrorTurn(first, ModelVersion(first.model, plan.canary.version))

    def _without_version(self, model: str, head: RequestHead) -> tuple[tuple[str, ...], bool]:
        """The versions for a request that names none, the first choice first; whether that is a canary."""
        plan = self.plans.models.get(model)
        if plan is None:
            return order_without_version(self.fleet, model, None, canary=False), False
        canary = plan.canary if plan.canary and self._has_turn(model, plan, plan.canary, head) else None
        order = order_without_version(self.fleet, model, plan, canary=canary is not None)
        turn = plan.stable if canary is None else canary.version
        if turn not in order[:1]:
            self._count_fallback(ModelVersion(model, turn), order)
            canary = None
        return order, canary is not None

    def _count_fallback(self, turn: ModelVersion, order: tuple[str, ...]) -> None:
        """Count a request of a version that has no ready worker, if another version gets it."""
        if any(self.table.has_other_of(ModelVersion(turn.model, other), ()) for other in order):
            self.fallbacks.count(turn)

    def _has_turn(self, model: str, plan: Plan, canary: Canary, head: RequestHead) -> bool:
        """Whether the request is the canary's."""
        if canary.percent <= 0:
            return False
        key = _sticky_key(plan.sticky, head)
        if key is not None:
            return sticky_percentile(model, canary.version, key) < canary.percent
        return self._turns.setdefault(model, Turns()).take(canary.percent)


def _sticky_key(sticky: str, head: RequestHead) -> bytes | None:
    """What keeps the request with one version; None if the plan names nothing, or the request lacks it.

    An empty header is none: else all clients without a session would have the same version.
    """
    if not sticky:
        return None
    if sticky == STICKY_REQUEST_ID:
        # Only an id that the client chose can come a second time.
        return None if head.request_id is None else head.request_id.encode()
    name = sticky.partition(":")[2].lower().encode()
    return next((value for field, value in head.headers() if field == name and value), None)
