"""What a listing and the plans of the registry say together."""

from __future__ import annotations

from tfleet.client.rollout.fleet_state import fleet_state, model_document, role, version_rows
from tfleet.contract.address import Address
from tfleet.discovery.consul.key_values import StoredValue
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import ServiceList
from tfleet.discovery.maintenance import Maintained
from tfleet.discovery.plan import Canary, Plan, default_key, dump_default, dump_plan, plan_key

_PLAN = Plan("1", Canary("2", 10.0), "0", {"prod": "1"})


def worker(number: int, model: str, version: str) -> Instance:
    return Instance(f"s-{number}", Address("127.0.0.1", 1000 + number), model, version)


_LISTED = ServiceList(
    passing=(worker(1, "m", "1"), worker(2, "m", "1"), worker(3, "m", "2"), worker(4, "other", "a")),
    maintained=(Maintained(worker(5, "m", "1"), "maintenance"), Maintained(worker(6, "m", "3"), "x")),
)


def stored(plan: Plan | None, model: str = "m") -> dict[str, StoredValue]:
    return {plan_key("s", model): StoredValue(dump_plan(plan), 7)}


def test_workers_in_maintenance_are_not_ready() -> None:
    fleet = fleet_state("s", _LISTED, stored(_PLAN))
    assert list(fleet.models) == ["m", "other"]
    model = fleet.models["m"]
    assert (model.plan, model.modify_index, model.ready) == (_PLAN, 7, {"1": 2, "2": 1, "3": 0})
    assert version_rows(model) == [
        {"version": "3", "workers": 1, "ready": 0, "percent": 0.0, "role": ""},
        {"version": "2", "workers": 1, "ready": 1, "percent": 10.0, "role": "canary"},
        {"version": "1", "workers": 3, "ready": 2, "percent": 90.0, "role": "stable"},
        {"version": "0", "workers": 0, "ready": 0, "percent": 0.0, "role": "previous"},
    ]


def test_a_document_has_the_plan_as_in_the_registry() -> None:
    document = model_document(fleet_state("s", _LISTED, stored(_PLAN)).models["m"], default=True, now_s=0)
    assert (document["name"], document["default"], document["labels"]) == (
        "m",
        True,
        {"stable": "1", "canary": "2", "prod": "1"},
    )
    assert document["plan"]["canary"] == "2"
    assert model_document(fleet_state("s", _LISTED, {}).models["m"], default=False, now_s=0)["plan"] is None


def test_an_ended_plan_leaves_its_index() -> None:
    model = fleet_state("s", _LISTED, stored(None)).models["m"]
    assert (model.plan, model.modify_index) == (None, 7)
    assert fleet_state("s", ServiceList(), stored(None)).models == {}


def test_a_plan_without_workers_is_a_model() -> None:
    fleet = fleet_state("s", ServiceList(), stored(_PLAN))
    assert fleet.models["m"].serving is None
    assert [row["percent"] for row in version_rows(fleet.models["m"])] == [0.0, 0.0, 0.0]


def test_a_plan_that_can_t_be_read_is_reported() -> None:
    model = fleet_state("s", _LISTED, {plan_key("s", "m"): StoredValue(b"{", 7)}).models["m"]
    assert (model.plan, model.problem, model.modify_index) == (None, "the plan is not JSON", 7)


def test_the_default_model_is_the_set_or_the_only_one() -> None:
    named = {default_key("s"): StoredValue(dump_default("other"), 3)}
    fleet = fleet_state("s", _LISTED, named)
    assert (fleet.default, fleet.default_index, fleet.default_model) == ("other", 3, "other")
    assert fleet_state("s", _LISTED, {}).default_model == ""
    assert fleet_state("s", ServiceList((worker(1, "m", "1"),)), {}).default_model == "m"
    assert fleet_state("s", ServiceList((worker(1, "m", "1"),)), named).default_model == ""
    broken = fleet_state("s", _LISTED, {default_key("s"): StoredValue(b"[]", 3)})
    assert (broken.default, broken.default_index) == ("", 3)
    assert "not the name of a model" in broken.default_problem


def test_workers_without_a_model_are_counted() -> None:
    fleet = fleet_state("s", ServiceList((worker(1, "", ""), worker(2, "m", "1"))), {})
    assert (list(fleet.models), fleet.unnamed) == (["m"], 1)


def test_a_version_has_one_role() -> None:
    plan = Plan("1", Canary("2"), "2")
    assert [role(plan, version) for version in ("1", "2", "3", "")] == ["stable", "canary", "", ""]
    assert role(None, "1") == ""
