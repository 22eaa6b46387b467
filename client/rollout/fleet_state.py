"""What the registry knows of a service's models: the workers of each version, the plans, the default model.

Pure values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tfleet.discovery.consul.key_values import StoredValue
from tfleet.discovery.listing import ServiceList
from tfleet.discovery.plan import (
    BadPlanError,
    Plan,
    default_key,
    dump_plan,
    labels_of,
    model_of_key,
    parse_default,
    parse_plan,
)
from tfleet.discovery.reported_versions import ReportedVersion, VersionState, read_reports
from tfleet.discovery.version_order import version_rank, version_shares, versions_in_order

STABLE: Final = "stable"
CANARY: Final = "canary"
PREVIOUS: Final = "previous"


@dataclass(frozen=True, slots=True)
class VersionWorkers:
    """How many workers of a version the registry lists, and how many of them pass their checks.

    A worker in maintenance is none that is ready.
    """

    workers: int = 0
    ready: int = 0


NO_WORKERS: Final = VersionWorkers()


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model's versions and plan. `modify_index` is that of the plan's key, 0 if there is none.

    `problem` is why the plan in the registry can't be read; `plan` is None then. `refused` are the versions
    that a `tfleet up --models` can't use, `loading` those that it starts.
    """

    name: str
    versions: Mapping[str, VersionWorkers] = field(default_factory=dict)
    plan: Plan | None = None
    modify_index: int = 0
    problem: str = ""
    refused: Mapping[str, ReportedVersion] = field(default_factory=dict)
    loading: Mapping[str, ReportedVersion] = field(default_factory=dict)

    @property
    def ready(self) -> dict[str, int]:
        """The number of ready workers of each version."""
        return {version: found.ready for version, found in self.versions.items()}

    @property
    def serving(self) -> str | None:
        """The version that gets all requests but the canary's; None if no worker is ready."""
        order = versions_in_order(self.ready, self.plan, canary=False)
        return order[0] if order and self.ready[order[0]] else None

    def of(self, version: str) -> VersionWorkers:
        """The workers of a version."""
        return self.versions.get(version, NO_WORKERS)


@dataclass(frozen=True, slots=True)
class FleetState:
    """All models of a service, by name, and the one that requests without a name are for, if one is set.

    `default_index` is the modify index of its key, 0 if there is none. `unnamed` counts workers that register
    no model. `acl_hint` says what to check if no worker is listed.
    """

    models: Mapping[str, ModelState]
    default: str = ""
    default_index: int = 0
    default_problem: str = ""
    unnamed: int = 0
    acl_hint: str = ""

    @property
    def default_model(self) -> str:
        """The model that answers requests without a name; empty if none does."""
        served = [model.name for model in self.models.values() if model.versions]
        if self.default:
            return self.default if self.default in served else ""
        known = {model.name for model in self.models.values() if model.versions or model.loading}
        return served[0] if len(served) == len(known) == 1 else ""


def fleet_state(
    service: str, listed: ServiceList, values: Mapping[str, StoredValue], now_s: float = 0.0
) -> FleetState:
    """What a listing and the values below the service's prefix say at `now_s` (Unix seconds)."""
    versions: dict[str, dict[str, VersionWorkers]] = {}
    unnamed = 0
    ready, maintained = listed.passing, [one.instance for one in listed.maintained]
    for instance, passing in (*((one, 1) for one in ready), *((one, 0) for one in maintained)):
        if not instance.model:
            unnamed += 1
            continue
        of_model = versions.setdefault(instance.model, {})
        before = of_model.get(instance.version, NO_WORKERS)
        of_model[instance.version] = VersionWorkers(before.workers + 1, before.ready + passing)
    models = {name: ModelState(name, of_model) for name, of_model in versions.items()}
    for key, stored in values.items():
        name = model_of_key(service, key)
        if name is not None:
            model = _with_plan(ModelState(name, versions.get(name, {})), stored)
            if model.versions or model.plan is not None or model.problem:
                models[name] = model
            # A plan that was ended leaves its key, which the next write has to name.
    _add_reports(models, service, values, now_s)
    default, problem = "", ""
    stored_default = values.get(default_key(service))
    if stored_default is not None:
        try:
            default = parse_default(stored_default.value)
        except BadPlanError as error:
            problem = str(error)
    index = stored_default.modify_index if stored_default is not None else 0
    return FleetState(dict(sorted(models.items())), default, index, problem, unnamed)


def _add_reports(
    models: dict[str, ModelState], service: str, values: Mapping[str, StoredValue], now_s: float
) -> None:
    """Add what a `tfleet up --models` says of versions that do not serve."""
    for each in read_reports(VersionState.REFUSED, service, values):
        model = models.get(each.model, ModelState(each.model))
        models[each.model] = replace(model, refused={**model.refused, each.version: each})
    loading = read_reports(VersionState.LOADING, service, values)
    for each in (one for one in loading if not one.is_stale(now_s)):
        model = models.get(each.model, ModelState(each.model))
        models[each.model] = replace(model, loading={**model.loading, each.version: each})


def _with_plan(model: ModelState, stored: StoredValue) -> ModelState:
    index = stored.modify_index
    try:
        return ModelState(model.name, model.versions, parse_plan(stored.value), index)
    except BadPlanError as error:
        return ModelState(model.name, model.versions, None, index, str(error))


def plan_document(plan: Plan | None) -> dict[str, Any] | None:
    """The plan as in the registry; None for none."""
    if plan is None:
        return None
    document: dict[str, Any] = json.loads(dump_plan(plan))
    return document


def role(plan: Plan | None, version: str) -> str:
    """What a version is in the plan: `stable`, `canary`, `previous`, or empty."""
    if plan is None:
        return ""
    canary = plan.canary.version if plan.canary is not None else None
    roles = {plan.previous: PREVIOUS, canary: CANARY, plan.stable: STABLE}
    return roles.get(version, "") if version else ""


def version_rows(model: ModelState) -> list[dict[str, Any]]:
    """A row for each version that has workers or is in the plan, the highest first."""
    named = model.plan.versions if model.plan is not None else ()
    percent = version_shares(model.ready, model.plan)
    versions = sorted(model.versions.keys() | set(named), key=version_rank, reverse=True)
    return [
        {
            "version": version,
            "workers": model.of(version).workers,
            "ready": model.of(version).ready,
            "percent": percent.get(version, 0.0),
            "role": role(model.plan, version),
        }
        for version in versions
    ]


def model_document(model: ModelState, *, default: bool, now_s: float) -> dict[str, Any]:
    """A model as `GET /models` of a proxy has it at `now_s` (Unix seconds), with the role of each version."""
    return {
        "name": model.name,
        "default": default,
        "versions": version_rows(model),
        "labels": dict(labels_of(model.plan)) if model.plan is not None else {},
        "plan": plan_document(model.plan),
        "refused": [each.document(now_s) for each in model.refused.values()],
        "loading": sorted(model.loading, key=version_rank),
    }
