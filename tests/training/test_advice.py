"""What to do next with a retrained model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.retrain_results import some_results
from tfleet.training.advice import advice
from tfleet.training.evaluation import wilson
from tfleet.training.results import (
    ClassResult,
    Confusion,
    Copies,
    Duplicates,
    Evaluation,
    Mislabels,
    Photo,
    Results,
    Split,
)

FINE = Evaluation(
    accuracy=wilson(970, 1000),
    majority=wilson(500, 1000),
    classes=(
        ClassResult("花", 400, 50, 500, wilson(485, 500)),
        ClassResult("<木>", 400, 50, 500, wilson(485, 500)),
    ),
    confusions=(Confusion("花", "<木>", 15), Confusion("<木>", "花", 15)),
    mistakes=(),
    mistakes_total=30,
    untested=(),
)


def results(evaluation: Evaluation = FINE) -> Results:
    """A run with nothing to complain of, but for its evaluation."""
    nothing = replace(some_results(), passed_over=(), mislabels=Mislabels((), 0, 1000, 0))
    return replace(nothing, evaluation=evaluation, duplicates=Duplicates((), 0))


def texts(of: Results) -> list[str]:
    return [each.what for each in advice(of)]


def test_nothing_to_do_is_said() -> None:
    assert texts(results()) == ["Serve the model."]


def test_copies_in_the_test_spoil_its_figure() -> None:
    photos = [Photo(f"{each}.jpg", "花", "0", 1, each) for each in (Split.TRAIN, Split.TEST)]
    found = advice(replace(results(), duplicates=Duplicates((Copies(photos, exact=False),), 1)))
    assert [each.what for each in found] == [
        "Remove copies between training and test (1), "
        "or keep what belongs together by <code>--group-by</code>."
    ]
    assert "too good" in found[0].why


@pytest.mark.parametrize(("total", "what"), [(200, "Look at the labels"), (201, "Look at the first of the")])
def test_a_weak_model_does_not_judge_labels(total: int, what: str) -> None:
    """It suspects far too many: who moved them all would spoil the folders."""
    found = advice(replace(results(), mislabels=Mislabels((), total, 1000, 0)))
    assert found[0].what.startswith(what)
    assert found[0].what.endswith(f" ({total}).")
    assert ("will be right" in found[0].why) == (total > 200)


def test_copies_within_the_test_make_it_less_certain() -> None:
    photos = [Photo(f"{each}.jpg", "花", "0", 1, Split.TEST) for each in range(7)]
    (found,) = advice(replace(results(), duplicates=Duplicates((Copies(photos, exact=True),), 1)))
    assert found.what == "Remove copies within the test (1)."
    assert "less certain" in found.why


@pytest.mark.parametrize(
    ("evaluation", "told"),
    [
        (
            replace(FINE, accuracy=wilson(90, 100), majority=wilson(50, 100)),
            "Add photographs before you compare",
        ),
        (replace(FINE, accuracy=wilson(510, 1000)), "Check that the folders hold what their names say."),
        (replace(FINE, untested=("<木>",)), "Do not rely on the answers <bdi>&lt;木&gt;</bdi> yet."),
        (
            replace(FINE, confusions=(Confusion("花", "<木>", 150),)),
            "Add photographs that show how <bdi>花</bdi> and <bdi>&lt;木&gt;</bdi> differ.",
        ),
    ],
)
def test_a_weak_figure_has_its_advice(evaluation: Evaluation, told: str) -> None:
    (found,) = texts(results(evaluation))
    assert found.startswith(told)


def test_a_run_without_tests_has_advice() -> None:
    nothing = replace(
        FINE, accuracy=wilson(0, 0), majority=wilson(0, 0), confusions=(), untested=("花", "<木>")
    )
    assert texts(results(nothing)) == ["Do not rely on the answers <bdi>花</bdi>, <bdi>&lt;木&gt;</bdi> yet."]


def test_each_fault_has_its_advice() -> None:
    told = texts(some_results())
    assert told[0] == "Look at the labels below that may be wrong (1)."
    assert told[1] == "Leave pictures that stand in several classes in one of them (1)."
    assert told[-1] == "See below why files were passed over (1)."
