"""What `tfleet label` makes of a model's plan, and what it refuses. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tfleet.client.rollout.changes import (
    RefusedChangeError,
    check_label,
    check_ready,
    readable_plan,
    serving_version,
)
from tfleet.client.rollout.fleet_state import ModelState
from tfleet.client.text import printable
from tfleet.discovery.plan import Plan


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """The labels to set, with their versions, and those to remove."""

    versions: Mapping[str, str]
    removed: frozenset[str]


def read_labels(texts: Iterable[str]) -> LabelRequest:
    """The request of words such as `prod=3` and `old-`. Raises ValueError, in one line."""
    versions: dict[str, str] = {}
    removed: set[str] = set()
    for text in texts:
        label, sets, version = text.partition("=")
        if not sets and text.endswith("-"):
            label = text[:-1]
        elif not version:
            raise ValueError(f"'{printable(text)}' is neither LABEL=VERSION nor LABEL-")
        if not label:
            raise ValueError(f"'{printable(text)}' has no label before the '{'=' if sets else '-'}'")
        if label in versions or label in removed:
            raise ValueError(f"the label {printable(label)} is there twice")
        if sets:
            versions[label] = version
        else:
            removed.add(label)
    return LabelRequest(versions, frozenset(removed))


def relabelled(model: ModelState, asked: LabelRequest) -> Plan:
    """The plan with these labels, which differs in nothing else. A model without a plan gets one, whose
    stable version is what serves now.

    Raises RefusedChangeError and BadPlanError.
    """
    plan = readable_plan(model)
    before = plan.labels if plan is not None else {}
    # A models.config may have written a label `stable` or `canary`: such a one can be removed.
    for label in (*asked.versions, *sorted(asked.removed - before.keys())):
        check_label(label)
    _check_known(model, asked.removed, before)
    for label, version in asked.versions.items():
        if before.get(label) != version:
            check_ready(model, version, "start one first")
    kept = {label: version for label, version in before.items() if label not in asked.removed}
    if plan is None:
        plan = Plan(serving_version(model, next(iter(asked.versions.values()))))
    return replace(plan, labels={**kept, **asked.versions})


def _check_known(model: ModelState, removed: Iterable[str], before: Mapping[str, str]) -> None:
    unknown = sorted(label for label in removed if label not in before)
    if unknown:
        there_is = f"there is {', '.join(map(printable, before))}" if before else "it has none"
        raise RefusedChangeError(f"{printable(model.name)} has no label {printable(unknown[0])}: {there_is}")
