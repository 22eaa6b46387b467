"""`GET /models`: what the fleet serves, and what share of the requests each version gets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from tfleet.discovery.plan import Plan, dump_plan, labels_of
from tfleet.discovery.plan_watch import Plans
from tfleet.discovery.version_order import version_rank
from tfleet.proxy.admin.workers import WorkerRow
from tfleet.proxy.balancing.member import WorkerState
from tfleet.proxy.balancing.mirror_counts import MirrorCount
from tfleet.proxy.balancing.versions import NO_WORKERS, Fleet, Known, ModelVersion, shares, stand_ins


def fleet_of(rows: Sequence[WorkerRow]) -> Fleet:
    """The versions that workers have, with their numbers."""
    workers: Counter[ModelVersion] = Counter()
    routable: Counter[ModelVersion] = Counter()
    for row in rows:
        key = ModelVersion(row.instance.model, row.instance.version)
        workers[key] += 1
        routable[key] += row.state is WorkerState.READY
    return {key: Known(workers[key], routable[key]) for key in workers}


Mirrored = Mapping[ModelVersion, MirrorCount]


def models_document(
    rows: Sequence[WorkerRow],
    plans: Plans,
    refused: Sequence[dict[str, object]] = (),
    mirrored: Mirrored = MappingProxyType({}),
    loading: Collection[ModelVersion] = (),
) -> dict[str, object]:
    """What `GET /models` says. A model that only a plan, `refused` or `loading` names is there, too: it has
    no workers.

    `refused` are the versions that can't be used, as `refused_documents` makes them. `mirrored` is what came
    of mirrored requests, by canary. `loading` are the versions that are being loaded.
    """
    fleet = fleet_of(rows)
    named = {key.model for key in (*fleet, *loading)}
    default = plans.default or (next(iter(named)) if len(named) == 1 else "")
    unusable: dict[str, list[dict[str, object]]] = {}
    for each in refused:
        unusable.setdefault(str(each["model"]), []).append(each)
    names = sorted(named | plans.models.keys() | unusable.keys())
    return {
        "models": [
            {
                **_model(name, fleet, plans.models.get(name), default=name == default),
                "refused": unusable.get(name, []),
                "loading": sorted((each.version for each in loading if each.model == name), key=version_rank),
                "mirrored": _mirrored(name, plans.models.get(name), mirrored),
            }
            for name in names
        ]
    }


def refused_documents(plans: Plans, now_s: float) -> list[dict[str, object]]:
    """The versions that can't be used, as pages show them at `now_s` (Unix seconds)."""
    return [each.document(now_s) for each in plans.refused]


def stand_in_documents(rows: Sequence[WorkerRow], plans: Plans) -> list[dict[str, object]]:
    """The versions that a plan gives requests and that have no ready worker, with what stands in for them."""
    fleet = fleet_of(rows)
    return [
        {"model": model, "version": each.version, "percent": each.percent, "stand_in": each.stand_in}
        for model, plan in sorted(plans.models.items())
        for each in stand_ins(fleet, model, plan)
    ]


def _model(name: str, fleet: Fleet, plan: Plan | None, *, default: bool) -> dict[str, object]:
    planned = dict.fromkeys(plan.versions if plan is not None else (), NO_WORKERS)
    known = planned | {key.version: known for key, known in fleet.items() if key.model == name}
    percent = shares(fleet, name, plan)
    return {
        "name": name,
        "default": default,
        "versions": [
            {
                "version": version,
                "workers": known[version].workers,
                "ready": known[version].routable,
                "percent": percent.get(version, 0.0),
            }
            for version in sorted(known, key=version_rank)
        ],
        "labels": {} if plan is None else dict(labels_of(plan)),
        "plan": None if plan is None else json.loads(dump_plan(plan)),
    }


def _mirrored(name: str, plan: Plan | None, mirrored: Mirrored) -> dict[str, object] | None:
    """What came of the requests that were mirrored to the canary; None if there were none."""
    if plan is None or plan.canary is None:
        return None
    count = mirrored.get(ModelVersion(name, plan.canary.version))
    return None if count is None else {"version": plan.canary.version, **count.document()}
