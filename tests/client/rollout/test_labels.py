"""What `tfleet label` makes of a plan, and what it refuses."""

from __future__ import annotations

import pytest

from tfleet.client.rollout.changes import RefusedChangeError
from tfleet.client.rollout.fleet_state import ModelState, VersionWorkers
from tfleet.client.rollout.labels import LabelRequest, read_labels, relabelled
from tfleet.discovery.plan import MAX_LABELS, BadPlanError, Canary, Plan

_RUNNING = Plan("1", Canary("2", 10.0, False, 5.0), "0", {"prod": "1", "old": "0"}, "request-id")


def model(plan: Plan | None = None, problem: str = "", **ready: int) -> ModelState:
    """One with so many ready workers: `v1=2`."""
    versions = {version[1:]: VersionWorkers(count, count) for version, count in ready.items()}
    return ModelState("m", versions, plan, 1, problem)


def relabel(state: ModelState, *texts: str) -> Plan:
    return relabelled(state, read_labels(texts))


def test_labels_are_read_as_kubectl_has_them() -> None:
    assert read_labels(["prod=3", "a-b=x=y-", "old-", "new--"]) == LabelRequest(
        {"prod": "3", "a-b": "x=y-"}, frozenset({"old", "new-"})
    )


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["prod"], "'prod' is neither LABEL=VERSION nor LABEL-"),
        (["prod="], "'prod=' is neither LABEL=VERSION nor LABEL-"),
        (["prod-="], "'prod-=' is neither LABEL=VERSION nor LABEL-"),
        ([""], "'' is neither LABEL=VERSION nor LABEL-"),
        (["-"], "'-' has no label before the '-'"),
        (["=3"], "'=3' has no label before the '='"),
        (["prod=1", "prod=2"], "the label prod is there twice"),
        (["prod=1", "prod-"], "the label prod is there twice"),
    ],
)
def test_a_word_that_makes_no_sense_is_refused(texts: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=rf"^{reason}$"):
        read_labels(texts)


def test_labels_change_and_nothing_else() -> None:
    plan = relabel(model(_RUNNING, v1=1, v2=1, v3=1), "prod=2", "next=3", "old-")
    labels = {"prod": "2", "next": "3"}
    assert plan == Plan("1", Canary("2", 10.0, False, 5.0), "0", labels, "request-id")


def test_a_rollback_s_reason_stays() -> None:
    rolled_back = Plan("1", reason="8 of 20 failed")
    assert relabel(model(rolled_back, v1=1), "prod=1") == Plan(
        "1", labels={"prod": "1"}, reason="8 of 20 failed"
    )


def test_without_a_plan_what_serves_becomes_stable() -> None:
    assert relabel(model(v1=2, v2=1), "next=2") == Plan("1", labels={"next": "2"})


def test_a_label_needs_no_worker_to_stay_or_to_go() -> None:
    assert relabel(model(_RUNNING), "prod=1") == _RUNNING
    assert relabel(model(_RUNNING), "prod-", "old-").labels == {}


def test_a_stable_label_of_a_models_config_is_removed() -> None:
    configured = Plan("1", labels={"stable": "2"})
    assert relabel(model(configured), "stable-") == Plan("1")


@pytest.mark.parametrize(
    ("state", "text", "reason"),
    [
        (model(_RUNNING, v1=1), "prod=2", "no worker of m version 2 is ready: start one first"),
        (model(v1=0), "prod=1", "no worker of m version 1 is ready: start one first"),
        (model(_RUNNING, v1=1), "stable=1", "the label stable is the plan's stable version by itself"),
        (model(_RUNNING, v1=1), "canary-", "the label canary is the plan's canary version by itself"),
        (model(_RUNNING, v1=1), "prdo-", "m has no label prdo: there is prod, old$"),
        (model(v1=1), "prod-", "m has no label prod: it has none$"),
        (model(problem="it is odd", v1=1), "prod=1", "it is odd. `tfleet models --end-plan m` ends it$"),
    ],
)
def test_a_label_that_can_t_be_is_refused(state: ModelState, text: str, reason: str) -> None:
    with pytest.raises(RefusedChangeError, match=reason):
        relabel(state, text)


def test_one_label_that_can_t_be_refuses_all() -> None:
    with pytest.raises(RefusedChangeError, match="version 3 is ready"):
        relabel(model(_RUNNING, v1=1, v2=1), "next=2", "prod=3")


def test_workers_without_a_version_serve_as_no_stable_one() -> None:
    state = ModelState("m", {"": VersionWorkers(2, 2), "1": VersionWorkers(1, 1)})
    with pytest.raises(RefusedChangeError, match="register no version: restart them first"):
        relabel(state, "prod=1")


def test_a_plan_has_a_bounded_number_of_labels() -> None:
    texts = [f"l{number}=1" for number in range(MAX_LABELS + 1)]
    with pytest.raises(BadPlanError, match="at most 64 labels"):
        relabel(model(v1=1), *texts)
