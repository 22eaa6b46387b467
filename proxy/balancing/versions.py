"""Which version of which model gets a request. Pure functions.

The rules:

- A request that names a version, or a label, gets a worker of exactly that version, or an error.
- Any other request gets the version that the model's plan says: see discovery/version_order.py. The routable
  workers are those that count.
- A request that names no model is for the default model or, if none is set, for the only one. Another model
  never answers in the place of the default one.
- What the plans name and no worker has is expected to come: 503. So is what a `tfleet up --models` has begun
  to start: it counts as known, also where a request names no model. What nobody names is 404.
- Until the plans have been read, a request that only they can place is 503: to guess could give a canary all
  requests.
- In TensorFlow Serving's API a version is a number, so 007 is 7, and a label that there is not is a 400.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from tfleet.contract.identifiers import escaped, version_of_folder
from tfleet.contract.problem import Problem, ProblemError
from tfleet.discovery.plan import Plan, labels_of
from tfleet.discovery.reported_versions import ReportedVersion
from tfleet.discovery.version_order import (
    StandIn,
    find_stand_ins,
    version_rank,
    version_shares,
    versions_in_order,
)

PLANS_UNREAD: Final = Problem(
    503,
    "the proxy has not read the plans from the registry yet: they say which version gets this request",
    retry_after_s=1,
)
"""The answer to a request that only the plans can place, while they have not been read."""

_BAD_REQUEST: Final = 400
_MAX_NAMED: Final = 20
"""How many names an error lists."""


class ModelVersion(NamedTuple):
    """One version of one model; both empty where the registry does not say (a static list)."""

    model: str
    version: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request names; None is nothing. It names a version or a label, not both.

    `tfs` is whether it is a request of TensorFlow Serving's API.
    """

    model: str | None = None
    version: str | None = None
    label: str | None = None
    tfs: bool = False

    def has_version(self, version: str) -> bool:
        """Whether this is the version that it names."""
        if self.version is None or not self.tfs:
            return version == self.version
        return version_of_folder(version) == version_of_folder(self.version)


ANY: Final = Wanted()
"""What a request wants that names nothing."""


class Known(NamedTuple):
    """The workers of one version: how many there are, and how many of them are routable."""

    workers: int
    routable: int


NO_WORKERS: Final = Known(0, 0)

Fleet = Mapping[ModelVersion, Known]


def wanted_model(fleet: Fleet, wanted: Wanted, default: str, planned: Collection[str] = ()) -> str:
    """The model that a request is for. `default` is the one that is set as such, if any; `planned` are those
    that have a plan.

    Raises ProblemError: 404 for a model that nobody has, 400 where the request has to name one, 503 for the
    default model and one with a plan while no worker has it.
    """
    names = {key.model for key in fleet}
    if wanted.model in names:
        return wanted.model
    if wanted.model is not None:
        # A worker of a static list is of a model that the proxy does not know: it answers for itself.
        if "" in names:
            return ""
        if wanted.model in planned:
            raise ProblemError(not_ready(wanted.model, None))
        raise ProblemError(unknown_model(wanted.model, names))
    known = names - {""}
    if default in known:
        return default
    if default and known:
        raise ProblemError(not_ready(default, None))
    if len(known) <= 1:
        return next(iter(known), "")
    name_one = f"name one, as in /models/NAME/predict or GET /worker?model=NAME. It has {_listed(known)}"
    raise ProblemError(Problem(400, f"this fleet serves several models: {name_one}"))


def named_version(fleet: Fleet, model: str, wanted: Wanted, plan: Plan | None) -> str | None:
    """The version that a request names by itself or by a label; None if it names none.

    Raises ProblemError: 404 for a version or label that there is not, 503 for a version that the plan names
    and no worker has.
    """
    version = wanted.version
    labels = {} if plan is None else labels_of(plan)
    if wanted.label is not None:
        version = labels.get(wanted.label)
        if version is None:
            raise ProblemError(unknown_label(model, wanted, labels))
    if version is None or model == "":
        return None
    versions = {key.version for key in fleet if key.model == model}
    if wanted.label is None and version not in versions:
        version = next((each for each in sorted(versions) if wanted.has_version(each)), version)
    if version not in versions:
        if any(each == version or wanted.has_version(each) for each in labels.values()):
            raise ProblemError(not_ready(model, version))
        raise ProblemError(unknown_version(model, version, versions))
    return version


def order_without_version(fleet: Fleet, model: str, plan: Plan | None, *, canary: bool) -> tuple[str, ...]:
    """The versions for a request that names none, the first choice first.

    `canary` is whether the plan's canary is the first choice. Versions without routable workers are last.
    """
    return versions_in_order(_routable(fleet, model), plan, canary=canary)


def undecided(fleet: Fleet, wanted: Wanted) -> Problem | None:
    """`PLANS_UNREAD` for a request that only the plans can place; None for others."""
    if wanted.version is not None:
        return None
    may_be = [key for key in fleet if wanted.model in {None, key.model}]
    if wanted.label is None and len(may_be) <= 1:
        return None
    return PLANS_UNREAD


def loading_versions(entries: Iterable[ReportedVersion], now_s: float) -> list[ModelVersion]:
    """What is being loaded at `now_s` (Unix seconds): a stale entry says nothing."""
    return [ModelVersion(each.model, each.version) for each in entries if not each.is_stale(now_s)]


def with_loading(fleet: Fleet, loading: Iterable[ModelVersion]) -> Fleet:
    """The fleet and what is being loaded, which counts as known."""
    return {**dict.fromkeys(loading, NO_WORKERS), **fleet}


def not_ready(model: str, version: str | None, loading: Iterable[ModelVersion] = ()) -> Problem:
    """The answer while no worker of it is ready. `loading` are the versions that are being loaded."""
    what = f"model {escaped(model)}" + ("" if version is None else f", version {escaped(version)}")
    if any(each.model == model and version in {None, each.version} for each in loading):
        return Problem(503, f"{what} is loading: none of its workers is ready yet", retry_after_s=1)
    return Problem(503, f"no worker of {what} is ready: see GET /workers", retry_after_s=1)


def unknown_label(model: str, wanted: Wanted, labels: Iterable[str]) -> Problem:
    """The answer to a request that names a label that its model's plan does not have."""
    problem = _unknown(f"label of model {escaped(model)}", wanted.label or "", labels)
    return replace(problem, status=_BAD_REQUEST) if wanted.tfs else problem


def unknown_version(model: str, version: str, versions: Iterable[str]) -> Problem:
    """The answer to a request that names a version that nobody knows."""
    return _unknown(f"version of model {escaped(model)}", version, versions)


def unknown_model(model: str, models: Iterable[str]) -> Problem:
    """The answer to a request that names a model that nobody knows."""
    return _unknown("model", model, models)


def _unknown(kind: str, name: str, names: Iterable[str]) -> Problem:
    return Problem(404, f"there is no {kind} called {escaped(name)}: there is {_listed(names)}")


def _listed(names: Iterable[str]) -> str:
    in_order: Collection[str] = sorted(names, key=version_rank)
    if not in_order:
        return "none"
    shown = [escaped(name) or "one without a name" for name in list(in_order)[:_MAX_NAMED]]
    more = f" and {len(in_order) - _MAX_NAMED} more" if len(in_order) > _MAX_NAMED else ""
    return ", ".join(shown) + more


def shares(fleet: Fleet, model: str, plan: Plan | None) -> Mapping[str, float]:
    """What share of a model's requests without a version each version gets now, in percent."""
    return version_shares(_routable(fleet, model), plan)


def stand_ins(fleet: Fleet, model: str, plan: Plan | None) -> list[StandIn]:
    """The versions that the model's plan gives requests, and that have no ready worker."""
    return find_stand_ins(_routable(fleet, model), plan)


def _routable(fleet: Fleet, model: str) -> dict[str, int]:
    return {key.version: known.routable for key, known in fleet.items() if key.model == model}
