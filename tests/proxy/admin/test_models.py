"""What GET /models says of the versions, their shares and their plans."""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType
from typing import Any

from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.discovery.plan import Canary, Plan
from tfleet.discovery.plan_watch import Plans
from tfleet.proxy.admin.models import Mirrored, models_document, stand_in_documents
from tfleet.proxy.admin.workers import WorkerRow
from tfleet.proxy.balancing.member import WorkerState
from tfleet.proxy.balancing.mirror_counts import MirrorCount, MirrorResult
from tfleet.proxy.balancing.versions import ModelVersion


def row(model: str, version: str, state: WorkerState = WorkerState.READY) -> WorkerRow:
    return WorkerRow(Instance("w", Address("h", 1), model, version), state, 1.0, True, 0, 0, "")


def shown(version: str, workers: int, ready: int, percent: float) -> dict[str, object]:
    return {"version": version, "workers": workers, "ready": ready, "percent": percent}


def test_a_fleet_without_workers_serves_nothing() -> None:
    assert models_document((), Plans()) == {"models": []}


def test_without_a_plan_one_version_has_all() -> None:
    rows = (row("m", "9"), row("m", "10", WorkerState.STARTING), row("m", "9"), row("m", "10"))
    assert models_document(rows, Plans()) == {
        "models": [
            {
                "name": "m",
                "default": True,
                "versions": [shown("9", 2, 2, 100.0), shown("10", 2, 1, 0.0)],
                "labels": {},
                "plan": None,
                "refused": [],
                "loading": [],
                "mirrored": None,
            }
        ]
    }


def test_a_model_that_is_loading_is_shown() -> None:
    old, new = models_of((row("m", "1"),), Plans(), loading=[ModelVersion("n", "2")])
    assert (old["name"], old["default"], old["loading"]) == ("m", False, [])
    assert (new["name"], new["versions"], new["loading"]) == ("n", [], ["2"])


def test_a_plan_shows_shares_and_labels() -> None:
    plan = Plan("1", Canary("2", 10.0), labels={"prod": "1"}, reason="")
    (model,) = models_of((row("m", "1"), row("m", "2")), Plans({"m": plan}))
    assert model["versions"] == [shown("1", 1, 1, 90.0), shown("2", 1, 1, 10.0)]
    assert model["labels"] == {"stable": "1", "canary": "2", "prod": "1"}
    assert model["plan"]["canary"] == "2"
    assert model["plan"]["percent"] == 10.0


def test_what_was_mirrored_to_the_canary_is_shown() -> None:
    rows = (row("m", "1"), row("m", "2"))
    count = MirrorCount()
    count.results[MirrorResult.AGREED] = 3
    mirrored = {ModelVersion("m", "2"): count, ModelVersion("m", "0"): MirrorCount()}
    plans = Plans({"m": Plan("1", Canary("2", 0.0, mirror=5.0))})
    (model,) = models_of(rows, plans, mirrored)
    assert model["mirrored"] == {"version": "2", **count.document()}
    assert model["mirrored"]["agreed"] == 3
    for plan in (Plan("1"), Plan("1", Canary("3", 1.0))):
        (model,) = models_of(rows, Plans({"m": plan}))
        assert model["mirrored"] is None


def test_a_canary_without_ready_workers_has_no_share() -> None:
    plans = Plans({"m": Plan("1", Canary("2", 10.0))})
    (model,) = models_of((row("m", "1"), row("m", "2", WorkerState.EJECTED)), plans)
    assert model["versions"] == [shown("1", 1, 1, 100.0), shown("2", 1, 0, 0.0)]


def test_versions_of_a_plan_without_workers_are_shown() -> None:
    plans = Plans({"m": Plan("3", Canary("4", 10.0), previous="2", labels={"prod": "1"})})
    (model,) = models_of((row("m", "2"),), plans)
    without = [shown(version, 0, 0, 0.0) for version in ("3", "4")]
    assert model["versions"] == [shown("1", 0, 0, 0.0), shown("2", 1, 1, 100.0), *without]
    one, other = models_of((row("b", "1"),), Plans({"a": Plan("1")}, default="b"))
    assert (one["name"], one["default"], one["versions"]) == ("a", False, [shown("1", 0, 0, 0.0)])
    assert (other["name"], other["default"]) == ("b", True)


def stand_in(model: str, version: str, percent: float, instead: str | None) -> dict[str, object]:
    return {"model": model, "version": version, "percent": percent, "stand_in": instead}


def test_what_stands_in_for_versions_without_ready_workers() -> None:
    rows = (row("m", "2"), row("m", "3", WorkerState.EJECTED), row("n", "1"), row("n", "2"), row("o", "1"))
    plans = Plans(
        {
            "m": Plan("3", Canary("4", 10.0), previous="2"),
            "n": Plan("1", Canary("2", 10.0), previous="0", labels={"old": "0"}),
            "o": Plan("1", Canary("2", 0.0)),
            "p": Plan("1", Canary("2", 100.0)),
        }
    )
    assert stand_in_documents(rows, plans) == [
        stand_in("m", "3", 90.0, "2"),
        stand_in("m", "4", 10.0, "2"),
        stand_in("p", "2", 100.0, None),
    ]
    assert stand_in_documents((row("m", "2"), row("m", "3")), Plans()) == []


def models_of(
    rows: tuple[WorkerRow, ...],
    plans: Plans,
    mirrored: Mirrored = MappingProxyType({}),
    loading: Collection[ModelVersion] = (),
) -> list[dict[str, Any]]:
    models = models_document(rows, plans, mirrored=mirrored, loading=loading)["models"]
    assert isinstance(models, list)
    return models
