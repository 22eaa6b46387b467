"""The workers of a lease and their weights: a canary's share of the client's requests is as in forward mode.

A client spreads its requests over the workers of its lease in proportion to their weights, so the canary's
workers get weights that sum up to its share. Sticky requests are not told apart: that needs forward mode.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from tfleet.discovery.plan import Plan
from tfleet.httpd.http1.request import RequestHead
from tfleet.proxy.balancing.member import PoolMember
from tfleet.proxy.balancing.model_router import ModelRouter
from tfleet.proxy.balancing.versions import ModelVersion, Wanted

_ALL: Final = 100.0
_MIN_WEIGHT: Final = 0.0001


class LeasedWorker(NamedTuple):
    """A worker and its weight: over 0, and 1 at the most."""

    member: PoolMember
    weight: float


def leased_workers(
    router: ModelRouter, wanted: Wanted, head: RequestHead, n: int, tried: Collection[str]
) -> tuple[LeasedWorker, ...]:
    """Up to `n` workers, none of those already `tried`; empty if none is left. Raises ProblemError."""
    route, table = router.route(wanted, head), router.table
    if not route.order:
        return _weighted(router, table.lease(n, tried))
    first, plan = route.order[0], router.plans.models.get(route.order[0].model)
    if n > 1 and len(route.order) > 1 and plan is not None and plan.canary is not None:
        shared = _shared(router, first.model, plan, n, tried)
        if shared:
            return shared
    for version in route.order:
        if members := table.lease_of(version, n, tried):
            return _weighted(router, members)
    return ()


def _shared(
    router: ModelRouter, model: str, plan: Plan, n: int, tried: Collection[str]
) -> tuple[LeasedWorker, ...]:
    """Workers of the stable version and of the canary; empty if one of them has none, or gets nothing."""
    assert plan.canary is not None
    percent, table = plan.canary.percent, router.table
    if not 0 < percent < _ALL:
        return ()
    for_canary = min(max(1, round(n * percent / _ALL)), n - 1)
    canaries = table.lease_of(ModelVersion(model, plan.canary.version), for_canary, tried)
    stable = table.lease_of(ModelVersion(model, plan.stable), n - len(canaries), tried)
    if not canaries or not stable:
        return ()
    # By the sum of each version's weights, so that a slow start moves requests within a version only.
    weights = {
        **_scaled(_weights(router, stable), _ALL - percent),
        **_scaled(_weights(router, canaries), percent),
    }
    largest = max(weights.values())
    return tuple(
        LeasedWorker(member, max(_MIN_WEIGHT, weights[member.id] / largest))
        for member in (*stable, *canaries)
    )


def _weights(router: ModelRouter, members: Sequence[PoolMember]) -> dict[str, float]:
    """The workers' weights by id."""
    # A last resort has weight 0, but the client has no other worker to give its images to.
    return {member.id: router.table.weight(member) or 1.0 for member in members}


def _scaled(weights: Mapping[str, float], total: float) -> dict[str, float]:
    """The same proportions, with this sum."""
    factor = total / sum(weights.values())
    return {worker_id: weight * factor for worker_id, weight in weights.items()}


def _weighted(router: ModelRouter, members: Sequence[PoolMember]) -> tuple[LeasedWorker, ...]:
    weights = _weights(router, members)
    return tuple(LeasedWorker(member, max(_MIN_WEIGHT, weights[member.id])) for member in members)
