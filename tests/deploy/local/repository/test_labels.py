from __future__ import annotations

import pytest

from tfleet.deploy.local.repository.labels import labelled
from tfleet.discovery.plan import BadPlanError, Canary, Plan

LABELS = {"prod": "2", "next": "3"}


def test_without_a_plan_the_highest_served_version_is_stable() -> None:
    assert labelled(None, LABELS, ["3", "2", "10"]) == Plan("10", labels=LABELS)


def test_a_label_waits_until_its_version_is_served() -> None:
    assert labelled(None, LABELS, ["2"]) == Plan("2", labels={"prod": "2"})
    before = Plan("2", labels={"prod": "1"})
    assert labelled(before, {"prod": "3"}, ["1", "2"]) is None
    assert labelled(before, {"prod": "3"}, ["2", "3"]) == Plan("3", labels={"prod": "3"})


def test_nothing_is_written_without_labels_or_changes() -> None:
    assert labelled(None, {}, ["1"]) is None
    assert labelled(None, LABELS, []) is None
    assert labelled(Plan("3", labels=LABELS), LABELS, ["2", "3"]) is None


@pytest.mark.parametrize(
    "plan",
    [
        Plan("1", Canary("2", 10)),
        Plan("1", previous="0"),
        Plan("1", sticky="request-id"),
        Plan("1", reason="it failed"),
        Plan("1", labels={"mine": "1"}),
    ],
)
def test_in_an_operators_plan_only_the_labels_change(plan: Plan) -> None:
    after = labelled(plan, LABELS, ["1", "2", "3"])
    assert after is not None
    assert (after.stable, after.canary, after.previous) == ("1", plan.canary, plan.previous)
    assert after.labels == {**plan.labels, **LABELS}


def test_too_many_labels_are_refused() -> None:
    with pytest.raises(BadPlanError, match="a plan has at most 64 labels"):
        labelled(None, {f"l{number}": "1" for number in range(65)}, ["1"])
