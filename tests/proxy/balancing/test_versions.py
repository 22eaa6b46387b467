"""Which version a request gets, with and without a plan."""

from __future__ import annotations

import pytest

from tfleet.contract.problem import ProblemError
from tfleet.discovery.plan import Canary, Plan
from tfleet.proxy.balancing.versions import (
    ANY,
    Fleet,
    Known,
    ModelVersion,
    Wanted,
    named_version,
    order_without_version,
    undecided,
    wanted_model,
)


def fleet(**routable: int) -> Fleet:
    """A fleet by `model_version=routable workers`, each version with one worker more that is not."""
    keys = (name.split("_") for name in routable)
    return {
        ModelVersion(model, version): Known(count + 1, count)
        for (model, version), count in zip(keys, routable.values(), strict=True)
    }


@pytest.mark.parametrize(
    ("wanted", "default", "expected"),
    [(Wanted("a"), "", "a"), (Wanted("b"), "a", "b"), (ANY, "b", "b")],
)
def test_a_model_is_named_or_the_default(wanted: Wanted, default: str, expected: str) -> None:
    assert wanted_model(fleet(a_1=1, b_1=1), wanted, default) == expected


def test_the_only_model_needs_no_name() -> None:
    assert wanted_model(fleet(a_1=0, a_2=3), ANY, "") == "a"


def test_several_models_without_a_name_is_400_that_lists_them() -> None:
    with pytest.raises(ProblemError, match=r"several models: name one.* It has a, b") as caught:
        wanted_model(fleet(b_1=1, a_1=1), ANY, "")
    assert caught.value.problem.status == 400


def test_an_unknown_model_is_404_that_lists_them() -> None:
    with pytest.raises(ProblemError, match="no model called c: there is a, b") as caught:
        wanted_model(fleet(b_1=1, a_1=1), Wanted("c"), "a")
    assert caught.value.problem.status == 404


def test_workers_of_an_unknown_model_answer_for_themselves() -> None:
    static = {ModelVersion("", ""): Known(2, 2)}
    assert wanted_model(static, ANY, "") == ""
    assert wanted_model(static, Wanted("cats"), "") == ""
    assert named_version(static, "", Wanted("cats", version="7"), None) is None


def test_a_version_is_named_by_itself_or_by_a_label() -> None:
    plan = Plan("1", Canary("2", 10.0), labels={"prod": "1"})
    both = fleet(a_1=1, a_2=1)
    assert named_version(both, "a", Wanted("a"), plan) is None
    assert named_version(both, "a", Wanted("a", version="2"), None) == "2"
    labels = {label: named_version(both, "a", Wanted("a", label=label), plan) for label in _LABELS}
    assert labels == {"prod": "1", "stable": "1", "canary": "2"}


_LABELS = ("prod", "stable", "canary")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted("a", version="3"), "no version of model a called 3: there is 1, 2"),
        (Wanted("a", label="test"), "no label of model a called test: there is prod, stable"),
    ],
)
def test_an_unknown_version_or_label_is_404(wanted: Wanted, message: str) -> None:
    with pytest.raises(ProblemError, match=message) as caught:
        named_version(fleet(a_1=1, a_2=1, b_3=1), "a", wanted, Plan("1", labels={"prod": "1"}))
    assert caught.value.problem.status == 404


@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        (Wanted("a", version="7"), "7"),
        (Wanted("a", version="8"), "8"),
        (Wanted("a", label="stable"), "7"),
        (Wanted("a", label="old"), "6"),
    ],
)
def test_what_the_plan_names_is_503_while_nobody_has_it(wanted: Wanted, version: str) -> None:
    plan = Plan("7", Canary("8"), previous="5", labels={"old": "6"})
    with pytest.raises(ProblemError, match=f"no worker of model a, version {version} is ready") as caught:
        named_version(fleet(a_1=1), "a", wanted, plan)
    assert (caught.value.problem.status, caught.value.problem.retry_after_s) == (503, 1)
    with pytest.raises(ProblemError, match="no version of model a called 5"):
        named_version(fleet(a_1=1), "a", Wanted("a", version="5"), plan)


def test_a_model_with_a_plan_is_503_while_nobody_has_it() -> None:
    with pytest.raises(ProblemError, match="no worker of model c is ready") as caught:
        wanted_model(fleet(a_1=1), Wanted("c"), "", ["c"])
    assert (caught.value.problem.status, caught.value.problem.retry_after_s) == (503, 1)


@pytest.mark.parametrize("others", [{"b_1": 1}, {"b_1": 1, "c_1": 1}])
def test_nobody_answers_for_the_default_model(others: dict[str, int]) -> None:
    with pytest.raises(ProblemError, match="no worker of model a is ready") as caught:
        wanted_model(fleet(**others), ANY, "a")
    assert (caught.value.problem.status, caught.value.problem.retry_after_s) == (503, 1)


@pytest.mark.parametrize(
    ("wanted", "is_decided"),
    [
        (Wanted("a", version="2"), True),
        (Wanted("b"), True),
        (Wanted("a"), False),
        (Wanted("b", label="prod"), False),
        (ANY, False),
    ],
)
def test_some_requests_need_the_plans(wanted: Wanted, is_decided: bool) -> None:
    problem = undecided(fleet(a_1=1, a_2=1, b_1=1), wanted)
    assert (problem is None) is is_decided
    assert problem is None or (problem.status, problem.retry_after_s) == (503, 1)


def test_the_only_version_needs_no_plan() -> None:
    assert undecided(fleet(a_1=1), ANY) is None


def test_a_list_of_names_has_an_end() -> None:
    many = {ModelVersion(f"m{n:03}", "1"): Known(1, 1) for n in range(500)}
    with pytest.raises(ProblemError, match=r"m019 and 480 more$"):
        wanted_model(many, Wanted("x"), "")


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        ({"a_1": 3, "a_2": 1}, ("1", "2")),
        ({"a_1": 3, "a_2": 3}, ("2", "1")),
        ({"a_9": 1, "a_10": 1}, ("10", "9")),
        ({"a_1": 0, "a_2": 0}, ("2", "1")),
        ({"a_1": 1, "a_2": 0, "b_3": 9}, ("1", "2")),
    ],
)
def test_without_a_plan_most_workers_serve(workers: dict[str, int], expected: tuple[str, ...]) -> None:
    assert order_without_version(fleet(**workers), "a", None, canary=False) == expected


@pytest.mark.parametrize(
    ("workers", "canary", "expected"),
    [
        ({"a_1": 1, "a_2": 1, "a_3": 9}, False, ("2", "1", "3")),  # stable, previous, and the canary at last
        ({"a_1": 1, "a_2": 1, "a_3": 9}, True, ("3", "2", "1")),
        ({"a_1": 1, "a_2": 0, "a_3": 9}, False, ("1", "3", "2")),
        ({"a_1": 0, "a_2": 0, "a_3": 1}, False, ("3", "2", "1")),
        ({"a_1": 1, "a_2": 1, "a_3": 0}, True, ("2", "1", "3")),
        ({"a_1": 1, "a_2": 1}, True, ("2", "1")),
        ({"a_0": 5, "a_3": 9}, False, ("0", "3")),  # neither stable nor previous: any but the canary first
    ],
)
def test_with_a_plan_others_stand_in(
    workers: dict[str, int], canary: bool, expected: tuple[str, ...]
) -> None:
    plan = Plan("2", Canary("3", 10.0), previous="1")
    assert order_without_version(fleet(**workers), "a", plan, canary=canary) == expected


def test_in_tensorflow_servings_api_a_version_is_a_number() -> None:
    workers, plan = fleet(a_7=1), Plan("7", Canary("8"))
    assert named_version(workers, "a", Wanted("a", "007", tfs=True), plan) == "7"
    assert named_version(fleet(a_007=1), "a", Wanted("a", "7", tfs=True), None) == "007"
    assert named_version(fleet(a_007=1, a_7=1), "a", Wanted("a", "7", tfs=True), None) == "7"
    for wanted, status in ((Wanted("a", "007"), 404), (Wanted("a", "008", tfs=True), 503)):
        with pytest.raises(ProblemError) as caught:
            named_version(workers, "a", wanted, plan)
        assert caught.value.problem.status == status


@pytest.mark.parametrize(("tfs", "status"), [(False, 404), (True, 400)])
def test_an_unknown_label_is_answered_as_its_api_does(tfs: bool, status: int) -> None:
    with pytest.raises(ProblemError, match="no label of model a called x: there is prod, stable") as caught:
        named_version(fleet(a_1=1), "a", Wanted("a", label="x", tfs=tfs), Plan("1", labels={"prod": "1"}))
    assert caught.value.problem.status == status
