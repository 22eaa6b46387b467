"""What rollout, promote and rollback make of a model's plan, and what they refuse. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tfleet.client.rollout.fleet_state import CANARY, STABLE, FleetState, ModelState, VersionWorkers
from tfleet.client.text import count, printable
from tfleet.discovery.plan import BadPlanError, Canary, Plan, promoted, rolled_back, rolled_out
from tfleet.discovery.version_order import version_rank

DEFAULT_PERCENT: Final = 10.0
_MAX_NAMED: Final = 20


class RefusedChangeError(Exception):
    """The change can't be made. The message is one line that says why, and what there is."""


@dataclass(frozen=True, slots=True)
class RolloutRequest:
    """What `tfleet rollout` asks for; None leaves as it is what a running canary has."""

    version: str
    percent: float | None = None
    label: str | None = None
    sticky: str | None = None
    auto_rollback: bool | None = None
    mirror: float | None = None

    @property
    def shares(self) -> bool:
        """Whether it says anything that only a canary has."""
        return any(value is not None for value in (self.percent, self.auto_rollback, self.mirror))


def find_model(fleet: FleetState, name: str) -> ModelState:
    """The model of this name. Raises RefusedChangeError with the names that there are."""
    model = fleet.models.get(name)
    if model is not None:
        return model
    hint = f"; {fleet.acl_hint}" if fleet.acl_hint else ""
    there_is = f"there is {_listed(fleet.models)}" if fleet.models else f"no worker has registered any{hint}"
    raise RefusedChangeError(f"there is no model {printable(name)}: {there_is}")


def rollout(model: ModelState, asked: RolloutRequest, *, await_worker: bool = False) -> Plan:
    """The plan after a rollout. With `await_worker` its version needs no ready worker yet.

    Raises RefusedChangeError and BadPlanError.
    """
    plan = readable_plan(model)
    check_label(asked.label)
    stable = plan.stable if plan is not None else serving_version(model, asked.version)
    if asked.version == stable:
        return _of_stable(model, asked, stable)
    running = plan.canary if plan is not None else None
    if running is not None and running.version != asked.version:
        only_label = "" if asked.label is None else ". `tfleet label` sets a label without a rollout"
        raise RefusedChangeError(
            f"version {running.version} of {model.name} is being rolled out, with {running.percent:g} %: "
            f"promote it or roll it back first{only_label}"
        )
    canary = _canary(running, asked)
    more = running is None or canary.percent > running.percent or canary.mirror > running.mirror
    if more and not await_worker:
        check_ready(model, asked.version, "start one first, or use --wait")
    after = rolled_out(plan, canary, stable=stable, label=asked.label or "")
    return after if asked.sticky is None else replace(after, sticky=asked.sticky)


def keep_stable(model: ModelState, version: str) -> Plan:
    """The plan or, of a model without one, the plan that keeps what serves now while others start.

    Without it a new version would take over as soon as it has as many workers. Raises RefusedChangeError.
    """
    return readable_plan(model) or Plan(serving_version(model, version))


def promote(model: ModelState) -> Plan:
    """The plan with the canary as stable version. Raises RefusedChangeError and BadPlanError."""
    plan = _plan(model)
    if plan.canary is None and plan.reason:
        raise RefusedChangeError(
            f"there is no canary to promote. The last one was rolled back: {plan.reason}"
        )
    after = promoted(plan)
    check_ready(model, after.stable, "nothing was changed")
    return after


def rollback(model: ModelState, reason: str | None, to: str | None = None) -> Plan:
    """The plan without the canary, or with the previous version; with `to`, the plan in which that version
    gets all requests.

    Of two rollbacks in a row the second one would undo the first, so it has to say `to`: the proxies, or
    somebody else, may have rolled back a moment ago. Raises RefusedChangeError and BadPlanError.
    """
    plan = _plan(model)
    leaving = plan.stable if plan.canary is None else plan.canary.version
    if to is None:
        _check_not_rolled_back(model.name, plan)
    elif to == plan.stable and plan.canary is None:
        return plan
    elif to == plan.previous != plan.stable:
        plan, leaving = replace(plan, canary=None), plan.stable
    elif to != plan.stable:
        raise RefusedChangeError(
            f"version {printable(to)} is neither the stable nor the previous version of "
            f"{printable(model.name)}: use `tfleet rollout`"
        )
    after = rolled_back(plan, f"version {leaving} was rolled back by hand" if reason is None else reason)
    if plan.canary is None:
        check_ready(model, after.stable, "start one first")
    return after


def ended(model: ModelState) -> None:
    """What is left of a plan that shall end: nothing. One that can't be read ends, too.

    Raises RefusedChangeError if there is none.
    """
    if model.plan is None and not model.problem:
        raise RefusedChangeError(f"{printable(model.name)} has no plan that could end")


def same_rollout(before: Plan | None, now: Plan | None) -> bool:
    """Whether both plans have the same stable version and canary, so that a change of one fits the other."""
    return _versions(before) == _versions(now)


def check_ready(model: ModelState, version: str, advice: str) -> None:
    """Raises RefusedChangeError if no worker of the version is ready."""
    if model.of(version).ready:
        return
    there_is = ", ".join(
        f"version {printable(each)} ({found.ready} of {count(found.workers, 'worker')} ready)"
        for each, found in _ranked(model.versions)
    )
    refused = model.refused.get(version)
    if refused is not None:
        advice = f"`tfleet up` on {refused.by} can't use it: {refused.reason}"
    elif version in model.loading:
        advice = f"`tfleet up` on {model.loading[version].by} is starting it: wait until it is ready"
    raise RefusedChangeError(
        f"no worker of {printable(model.name)} version {printable(version)} is ready: {advice}. "
        f"There is {there_is or 'no worker of any version'}"
    )


def serving_version(model: ModelState, version: str) -> str:
    """What serves now, of a model without a plan. Raises RefusedChangeError, which says that no worker of
    `version` is ready if none at all is.
    """
    if model.serving:
        return model.serving
    if model.serving is None:
        check_ready(model, version, "start one first")
    raise RefusedChangeError(
        f"the workers of {printable(model.name)} that serve now register no version: restart them first"
    )


def readable_plan(model: ModelState) -> Plan | None:
    """The plan, or None if there is none. Raises RefusedChangeError if it can't be read."""
    if model.problem:
        raise RefusedChangeError(
            f"the plan of {printable(model.name)} in the registry can't be read, and was not changed: "
            f"{model.problem}. `tfleet models --end-plan {printable(model.name)}` ends it"
        )
    return model.plan


def check_label(label: str | None) -> None:
    """Raises RefusedChangeError for a label that each plan has by itself, BadPlanError for an empty one."""
    if label in {STABLE, CANARY}:
        raise RefusedChangeError(f"the label {label} is the plan's {label} version by itself: use another")
    if label == "":
        raise BadPlanError("a label and its version must not be empty")


def _check_not_rolled_back(name: str, plan: Plan) -> None:
    if plan.canary is None and plan.reason and plan.previous:
        raise RefusedChangeError(
            f"{printable(name)} was rolled back already, and version {plan.stable} gets all requests: "
            f"{plan.reason}. `tfleet rollback {printable(name)} --to {plan.previous}` leaves version "
            f"{plan.stable}, too"
        )


def _canary(running: Canary | None, asked: RolloutRequest) -> Canary:
    # Who mirrors to a new version wants to see its answers before anybody gets one.
    before = running or Canary(asked.version, 0.0 if asked.mirror else DEFAULT_PERCENT)
    return Canary(
        asked.version,
        before.percent if asked.percent is None else asked.percent,
        before.auto_rollback if asked.auto_rollback is None else asked.auto_rollback,
        before.mirror if asked.mirror is None else asked.mirror,
    )


def _of_stable(model: ModelState, asked: RolloutRequest, stable: str) -> Plan:
    """The plan after a rollout of the stable version: only a label, or what sticks, can be set.

    A model without a plan gets one: then the version stays, however many workers of others start.
    """
    plan, name = model.plan, printable(model.name)
    if plan is not None and plan.canary is not None and asked.label is None:
        raise RefusedChangeError(
            f"version {stable} is the stable version of {name} already: "
            f"`tfleet rollback {name}` ends the rollout of version {plan.canary.version}"
        )
    if asked.shares or (plan is not None and asked.label is None and asked.sticky is None):
        raise RefusedChangeError(f"version {stable} is the stable version of {name} already")
    before = plan or Plan(stable)
    labels = {**before.labels, asked.label: stable} if asked.label is not None else before.labels
    return replace(before, labels=labels, sticky=before.sticky if asked.sticky is None else asked.sticky)


def _plan(model: ModelState) -> Plan:
    plan = readable_plan(model)
    if plan is None:
        raise RefusedChangeError(f"{printable(model.name)} has no plan: start with `tfleet rollout`")
    return plan


def _versions(plan: Plan | None) -> tuple[str, str] | None:
    if plan is None:
        return None
    return plan.stable, plan.canary.version if plan.canary is not None else ""


def _ranked(versions: Mapping[str, VersionWorkers]) -> list[tuple[str, VersionWorkers]]:
    return sorted(versions.items(), key=lambda item: version_rank(item[0]))


def _listed(names: Iterable[str]) -> str:
    known = [printable(name) for name in names]
    more = f" and {len(known) - _MAX_NAMED} more" if len(known) > _MAX_NAMED else ""
    return ", ".join(known[:_MAX_NAMED]) + more
