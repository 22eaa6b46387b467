"""`version_labels` of a models.config -> the model's plan. Pure.

Labels are part of a plan, and a plan needs a stable version, which gets the requests that name none. In
TensorFlow Serving these go to the highest version that is served.

Rules:

- A label is assigned when its version is served, as in TensorFlow Serving. Until then it stays where it is.
- A plan that says nothing but a stable version and labels of the file follows the file: its stable version is
  the highest that is served. One with a canary, a predecessor or anything else is an operator's: only labels
  of the file are assigned in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from tfleet.discovery.plan import Plan
from tfleet.discovery.version_order import version_rank


def labelled(plan: Plan | None, labels: Mapping[str, str], served: Collection[str]) -> Plan | None:
    """The plan to write, for a model whose versions `served` are ready; None if nothing is to be written.

    Without `labels` nothing is. Raises BadPlanError if the plan would have too many.
    """
    assigned = {label: version for label, version in labels.items() if version in served}
    if not assigned or not served:
        return None
    highest = max(served, key=version_rank)
    if plan is None:
        return Plan(highest, labels=assigned)
    after = replace(plan, labels={**plan.labels, **assigned})
    if plan == Plan(plan.stable, labels=plan.labels) and plan.labels.keys() <= labels.keys():
        after = replace(after, stable=highest)
    return None if after == plan else after
