"""What rollout, promote and rollback make of a plan, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tfleet.client.rollout import changes
from tfleet.client.rollout.changes import RefusedChangeError, RolloutRequest, find_model, same_rollout
from tfleet.client.rollout.fleet_state import FleetState, ModelState, VersionWorkers
from tfleet.discovery.plan import BadPlanError, Canary, Plan
from tfleet.discovery.reported_versions import ReportedVersion, VersionState

_RUNNING = Plan("1", Canary("2", 10.0, False), "0", {"prod": "1"}, "request-id")


def model(plan: Plan | None = None, problem: str = "", **ready: int) -> ModelState:
    """One with so many ready workers: `v1=2`."""
    versions = {version[1:]: VersionWorkers(count, count) for version, count in ready.items()}
    return ModelState("m", versions, plan, 1, problem)


def rollout(state: ModelState, asked: RolloutRequest) -> Plan:
    return changes.rollout(state, asked)


def test_a_first_rollout_keeps_what_serves_as_stable() -> None:
    plan = rollout(model(v1=2, v2=1), RolloutRequest("2", label="new", sticky="request-id"))
    assert plan == Plan("1", Canary("2", 10.0), labels={"new": "2"}, sticky="request-id")


def test_the_share_of_a_running_canary_changes_alone() -> None:
    plan = rollout(model(_RUNNING, v1=1, v2=1), RolloutRequest("2", percent=50.0))
    assert plan == Plan("1", Canary("2", 50.0, False), "0", {"prod": "1"}, "request-id")


def test_all_percent_keep_the_old_version_as_stable() -> None:
    plan = rollout(model(v1=1, v2=0, v3=1), RolloutRequest("1", percent=100.0))
    assert (plan.stable, plan.canary) == ("3", Canary("1", 100.0))


def test_settings_of_a_running_canary_are_changed() -> None:
    asked = RolloutRequest("2", sticky="", auto_rollback=True)
    plan = rollout(model(_RUNNING, v1=1, v2=1), asked)
    assert (plan.canary, plan.sticky) == (Canary("2", 10.0, True), "")


def test_a_refused_version_is_told_with_its_reason() -> None:
    entry = ReportedVersion(VersionState.REFUSED, "m", "2", "it is cut off", "box:/m", 0)
    with pytest.raises(RefusedChangeError, match="`tfleet up` on box:/m can't use it: it is cut off"):
        rollout(replace(model(v1=1), refused={"2": entry}), RolloutRequest("2"))


@pytest.mark.parametrize(
    ("asked", "percent", "mirror"),
    [
        (RolloutRequest("2"), 10.0, 0.0),
        (RolloutRequest("2", mirror=5.0), 0.0, 5.0),
        (RolloutRequest("2", mirror=5.0, percent=1.0), 1.0, 5.0),
        (RolloutRequest("2", mirror=0.0), 10.0, 0.0),
    ],
)
def test_who_mirrors_first_sends_no_request(asked: RolloutRequest, percent: float, mirror: float) -> None:
    assert rollout(model(v1=2, v2=1), asked).canary == Canary("2", percent, mirror=mirror)


def test_a_running_canary_keeps_what_is_not_asked_for() -> None:
    running = Plan("1", Canary("2", 10.0, mirror=5.0))
    asked = RolloutRequest("2", percent=50.0)
    assert rollout(model(running, v1=1, v2=1), asked).canary == Canary("2", 50.0, mirror=5.0)
    asked = RolloutRequest("2", mirror=0.0)
    assert rollout(model(running, v1=1), asked).canary == Canary("2", 10.0), "it needs no worker"
    with pytest.raises(RefusedChangeError, match="no worker of m version 2 is ready"):
        rollout(model(running, v1=1), RolloutRequest("2", mirror=6.0))
    assert changes.promote(model(running, v1=1, v2=1)) == Plan("2", previous="1")


def test_a_share_can_be_lowered_without_workers() -> None:
    state = model(_RUNNING, v1=1)
    plan = rollout(state, RolloutRequest("2", percent=1.0))
    assert plan.canary is not None
    assert plan.canary.percent == 1.0
    with pytest.raises(RefusedChangeError, match="no worker of m version 2 is ready"):
        rollout(state, RolloutRequest("2", percent=11.0))


def test_only_a_label_is_set_for_the_stable_version() -> None:
    plan = rollout(model(_RUNNING, v1=1, v2=1), RolloutRequest("1", label="new"))
    assert plan == Plan("1", _RUNNING.canary, "0", {"prod": "1", "new": "1"}, "request-id")
    assert rollout(model(v1=1), RolloutRequest("1", label="a")) == Plan("1", labels={"a": "1"})


def test_what_serves_without_a_plan_can_be_made_stable() -> None:
    assert rollout(model(v1=1), RolloutRequest("1")) == Plan("1")


@pytest.mark.parametrize(
    ("state", "asked", "reason"),
    [
        (model(v1=2), RolloutRequest("2"), r"use --wait\. There is version 1 \(2 of 2 workers ready\)$"),
        (model(Plan("1"), v1=1), RolloutRequest("1"), "version 1 is the stable version of m already$"),
        (model(v1=1), RolloutRequest("1", percent=10.0), "is the stable version of m already$"),
        (model(v1=1), RolloutRequest("1", auto_rollback=False), "is the stable version of m already$"),
        (model(_RUNNING, v1=1), RolloutRequest("1"), "`tfleet rollback m` ends the rollout of version 2$"),
        (model(_RUNNING, v1=1, v3=1), RolloutRequest("3"), "version 2 of m is being rolled out, with 10 %"),
        (model(v1=1, v2=1), RolloutRequest("1", label="stable"), "the label stable is the plan's"),
        (model(v1=1, v2=1), RolloutRequest("1", label="canary"), "the label canary is the plan's"),
        (model(problem="it is odd", v1=1), RolloutRequest("2"), "can't be read, and was not changed: it is"),
        (model(v1=0), RolloutRequest("1"), r"start one first. There is version 1 \(0 of 0 workers ready\)"),
        (ModelState("m", {"": VersionWorkers(1, 1)}), RolloutRequest("2"), "register no version"),
    ],
)
def test_a_rollout_that_makes_no_sense_is_refused(
    state: ModelState, asked: RolloutRequest, reason: str
) -> None:
    with pytest.raises(RefusedChangeError, match=reason):
        rollout(state, asked)


def test_an_invalid_value_is_refused() -> None:
    for asked in (RolloutRequest("1", label=""), RolloutRequest("1", sticky="cookie")):
        with pytest.raises(BadPlanError):
            rollout(model(v1=1, v2=1), asked)


def test_an_awaited_version_needs_no_worker_yet() -> None:
    plan = changes.rollout(model(v1=1), RolloutRequest("2"), await_worker=True)
    assert plan == Plan("1", Canary("2", 10.0))
    assert changes.keep_stable(model(v1=1, v2=0), "2") == Plan("1")
    assert changes.keep_stable(model(_RUNNING, v1=1), "2") == _RUNNING


def test_promote_needs_a_canary_with_a_ready_worker() -> None:
    assert changes.promote(model(_RUNNING, v1=1, v2=1)).stable == "2"
    with pytest.raises(RefusedChangeError, match="no worker of m version 2 is ready: nothing was changed"):
        changes.promote(model(_RUNNING, v1=1))
    with pytest.raises(BadPlanError, match="there is no canary to promote"):
        changes.promote(model(Plan("1"), v1=1))
    with pytest.raises(RefusedChangeError, match="m has no plan"):
        changes.promote(model(v1=1))


def test_promote_says_why_the_canary_is_gone() -> None:
    with pytest.raises(RefusedChangeError, match="The last one was rolled back: 20 of 40 failed"):
        changes.promote(model(Plan("1", reason="20 of 40 failed"), v1=1))


def test_rollback_says_which_version_it_took_out() -> None:
    plan = changes.rollback(model(_RUNNING), None)
    assert (plan.stable, plan.canary) == ("1", None)
    assert plan.reason == "version 2 was rolled back by hand"
    assert changes.rollback(model(_RUNNING), "bad labels").reason == "bad labels"


_ROLLED_BACK = Plan("2", previous="1", reason="3 of 20 tries failed")


def test_a_second_rollback_has_to_name_its_version() -> None:
    refused = (
        "m was rolled back already, and version 2 gets all requests: 3 of 20 tries failed. .*m --to 1` leaves"
    )
    with pytest.raises(RefusedChangeError, match=refused):
        changes.rollback(model(_ROLLED_BACK, v1=1, v2=1), None)
    after = changes.rollback(model(_ROLLED_BACK, v1=1, v2=1), None, to="1")
    assert after == Plan("1", previous="2", reason="version 2 was rolled back by hand")


@pytest.mark.parametrize(
    ("plan", "to", "expected"),
    [
        (_ROLLED_BACK, "2", _ROLLED_BACK),
        (replace(_ROLLED_BACK, canary=Canary("3")), "2", replace(_ROLLED_BACK, reason="why")),
        (replace(_ROLLED_BACK, canary=Canary("3")), "1", Plan("1", previous="2", reason="why")),
    ],
)
def test_a_rollback_to_a_version_gives_it_all_requests(plan: Plan, to: str, expected: Plan) -> None:
    assert changes.rollback(model(plan, v1=1, v2=1, v3=1), "why", to=to) == expected


@pytest.mark.parametrize(
    ("to", "reason"), [("3", "neither the stable nor"), ("1", "version 1 is ready: start")]
)
def test_a_rollback_to_a_version_that_can_t_serve_is_refused(to: str, reason: str) -> None:
    with pytest.raises(RefusedChangeError, match=reason):
        changes.rollback(model(replace(_ROLLED_BACK, canary=Canary("3")), v2=1, v3=1), None, to=to)


def test_rollback_without_a_canary_needs_the_previous_version() -> None:
    plan = Plan("2", previous="1")
    after = changes.rollback(model(plan, v1=1, v2=1), None)
    assert (after.stable, after.previous) == ("1", "2")
    assert after.reason == "version 2 was rolled back by hand"
    with pytest.raises(RefusedChangeError, match="no worker of m version 1 is ready: start one first"):
        changes.rollback(model(plan, v2=1), None)
    with pytest.raises(BadPlanError, match="nothing to roll back to"):
        changes.rollback(model(Plan("2"), v2=1), None)


def test_an_unknown_model_is_refused_with_the_names() -> None:
    models = {f"m{number:02}": ModelState(f"m{number:02}") for number in range(22)}
    with pytest.raises(RefusedChangeError, match=r"no model x: there is m00, m01, .*, m19 and 2 more$"):
        find_model(FleetState(models), "x")
    with pytest.raises(RefusedChangeError, match=r"no worker has registered any; the token needs more$"):
        find_model(FleetState({}, acl_hint="the token needs more"), "x")


def test_only_versions_make_another_rollout() -> None:
    assert same_rollout(_RUNNING, Plan("1", Canary("2", 99.0)))
    assert not same_rollout(_RUNNING, Plan("1"))
    assert not same_rollout(None, Plan("1"))
    assert same_rollout(None, None)
