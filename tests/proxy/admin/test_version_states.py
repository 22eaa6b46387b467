"""The state of each version, from the workers, the plans and the versions that can't be used."""

from __future__ import annotations

import pytest

from tfleet.contract.address import Address
from tfleet.contract.problem import ProblemError
from tfleet.discovery.instance import Instance
from tfleet.discovery.plan import Canary, Plan
from tfleet.discovery.plan_watch import Plans
from tfleet.discovery.reported_versions import ReportedVersion, VersionState
from tfleet.proxy.admin.tfs_pages import models_page, status_page
from tfleet.proxy.admin.version_states import VersionStatus, version_statuses
from tfleet.proxy.admin.workers import WorkerRow
from tfleet.proxy.balancing.member import WorkerState
from tfleet.proxy.balancing.versions import Wanted

READY, STARTING = WorkerState.READY, WorkerState.STARTING
DRAINING, EJECTED = WorkerState.DRAINING, WorkerState.EJECTED
NOW_S = 1_000_000.0


def row(name: str, state: WorkerState) -> WorkerRow:
    """A worker of a version, which is written `MODEL/VERSION`."""
    model, _, version = name.partition("/")
    instance = Instance(name, Address("127.0.0.1", 1), model, version)
    return WorkerRow(instance, state, 1.0, listed=True, in_flight=0, failures=0, last_error="")


def refused(model: str, version: str, *, confirmed_at_s: float = NOW_S) -> ReportedVersion:
    return ReportedVersion(
        VersionState.REFUSED, model, version, "/secret/path is cut off", "box", confirmed_at_s
    )


def loading(model: str, version: str, *, confirmed_at_s: float = NOW_S) -> ReportedVersion:
    return ReportedVersion(VersionState.LOADING, model, version, "", "box", confirmed_at_s)


def states(statuses: tuple[VersionStatus, ...]) -> list[tuple[str, str, str]]:
    return [(each.model, each.version, each.state) for each in statuses]


@pytest.mark.parametrize(
    ("of_workers", "expected"),
    [
        ([READY], "AVAILABLE"),
        ([STARTING], "LOADING"),
        ([DRAINING], "UNLOADING"),
        ([EJECTED], "END"),
        ([EJECTED, DRAINING, STARTING, READY], "AVAILABLE"),
        ([EJECTED, DRAINING, STARTING], "LOADING"),
        ([EJECTED, DRAINING], "UNLOADING"),
    ],
)
def test_a_version_has_the_best_state_of_its_workers(of_workers: list[WorkerState], expected: str) -> None:
    rows = [row("m/1", state) for state in of_workers]
    assert states(version_statuses(rows, Plans(), NOW_S)) == [("m", "1", expected)]


def test_what_a_plan_names_and_nobody_has_is_at_its_start() -> None:
    plans = Plans({"m": Plan("1", Canary("3"), previous="0", labels={"old": "2"})})
    found = states(version_statuses([row("m/1", READY)], plans, NOW_S))
    assert found == [("m", "3", "START"), ("m", "2", "START"), ("m", "1", "AVAILABLE")]


def test_what_cannot_be_used_is_at_its_end() -> None:
    old = refused("m", "3", confirmed_at_s=0.0)
    plans = Plans({"m": Plan("2")}, refused=(refused("m", "2"), refused("m", "1"), old))
    found = version_statuses([row("m/1", READY)], plans, NOW_S)
    assert states(found) == [("m", "2", "END"), ("m", "1", "AVAILABLE")]
    assert found[0].error_code == "FAILED_PRECONDITION"
    assert "secret" not in found[0].reason


def test_what_is_being_started_is_loading() -> None:
    old = loading("m", "4", confirmed_at_s=0.0)
    plans = Plans(loading=(loading("m", "1"), loading("m", "2"), loading("m", "3"), old))
    found = version_statuses([row("m/1", READY), row("m/2", EJECTED)], plans, NOW_S)
    assert states(found) == [("m", "3", "LOADING"), ("m", "2", "LOADING"), ("m", "1", "AVAILABLE")]


def test_the_highest_version_comes_first() -> None:
    rows = [row(name, READY) for name in ("b/9", "b/10", "a/x", "a/2")]
    found = version_statuses(rows, Plans(), NOW_S)
    assert [f"{each.model}/{each.version}" for each in found] == ["a/2", "a/x", "b/10", "b/9"]
    assert models_page(found) == {"models": ["a", "b"]}


def test_workers_that_name_no_model_are_left_out() -> None:
    assert version_statuses([row("", READY)], Plans(), NOW_S) == ()


def test_the_status_is_written_as_tensorflow_serving_does() -> None:
    found = version_statuses([row("m/007", READY), row("m/8", EJECTED)], Plans(), NOW_S)
    ended = {"error_code": "UNAVAILABLE", "error_message": "its workers do not answer: see GET /workers"}
    assert status_page(found, Plans(), Wanted("m", tfs=True)) == {
        "model_version_status": [
            {"version": "8", "state": "END", "status": ended},
            {"version": "7", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
        ],
        "ready": True,
    }


@pytest.mark.parametrize(
    ("version", "label", "expected"),
    [("2", None, ["2"]), ("02", None, ["2"]), (None, "prod", ["1"]), (None, "canary", ["3"])],
)
def test_a_version_or_a_label_names_one(version: str | None, label: str | None, expected: list[str]) -> None:
    plans = Plans({"m": Plan("2", Canary("3"), labels={"prod": "1"})})
    found = version_statuses([row("m/1", READY), row("m/2", READY)], plans, NOW_S)
    page = status_page(found, plans, Wanted("m", version, label, tfs=True))
    assert [each["version"] for each in page["model_version_status"]] == expected
    assert page["ready"] == (expected != ["3"]), "no worker has version 3"


@pytest.mark.parametrize(
    ("wanted", "status", "said"),
    [
        (Wanted("x", tfs=True), 404, "no model called x: there is m"),
        (Wanted("m", "9", tfs=True), 404, "no version of model m called 9: there is 1"),
        (Wanted("m", label="x", tfs=True), 400, "no label of model m called x: there is none"),
    ],
)
def test_what_there_is_not_is_said_with_names(wanted: Wanted, status: int, said: str) -> None:
    with pytest.raises(ProblemError, match=said) as caught:
        status_page(version_statuses([row("m/1", READY)], Plans(), NOW_S), Plans(), wanted)
    assert caught.value.problem.status == status
