"""Many rows of labels are written as each of them alone, and fast."""

import json

import numpy as np
import pytest

from tests.support.cpu_time import cost_ratio
from tfleet.worker.api.labels import label_rows, named
from tfleet.worker.inference.class_scores import ClassScores

ROWS = np.random.default_rng(0).random((40, 4)).astype(np.float32)


@pytest.mark.parametrize("top", [1, 3, 4])
@pytest.mark.parametrize(
    "scores",
    [
        ClassScores(("a", "b", "c", "\u00e9")),
        ClassScores(("a", "b", "c", "d"), probabilities=False),
        ClassScores(("a", "b", "c", "d"), "softmax", threshold=0.25),
        ClassScores(("a", "b", "c", "d"), threshold=2.0),
    ],
)
def test_rows_are_written_as_each_would_be_alone(scores: ClassScores, top: int) -> None:
    found = json.loads(label_rows(ROWS, scores, top, one_row=False))
    alone = [named(scores.top(row, top), probability=scores.probabilities) for row in scores(ROWS)]
    assert found == {"success": True, "predictions": alone}


def test_equal_scores_keep_the_order_of_the_labels() -> None:
    found = json.loads(label_rows(np.zeros((1, 3)), ClassScores(("x", "y", "z")), 2, one_row=True))
    assert [entry["label"] for entry in found["predictions"]] == ["x", "y"]


@pytest.mark.parametrize("probabilities", [True, False])
def test_what_is_no_number_is_written_as_a_word(probabilities: bool) -> None:
    rows = np.array([[0.1, np.nan], [np.inf, 0.5]], np.float32)
    scores = ClassScores(("x", "y"), probabilities=probabilities)
    first, second = json.loads(label_rows(rows, scores, 2, one_row=False))["predictions"]
    name = "probability" if probabilities else "score"
    assert (first[0], second[0]) == ({"label": "x", name: 0.1}, {"label": "x", name: np.inf})
    assert np.isnan(first[1][name])


@pytest.mark.process
def test_the_most_rows_are_not_written_one_by_one() -> None:
    rows = np.random.default_rng(0).random((16_384, 3))
    scores = ClassScores(("a", "b", "c"))

    def one_by_one() -> object:
        return [named(scores.top(row, 3), probability=True) for row in scores(rows[:1024])]

    assert len(label_rows(rows, scores, 3, one_row=False)) > 250_000
    # 16 times as many rows.
    assert cost_ratio(lambda: label_rows(rows, scores, 3, one_row=False), one_by_one) < 16 / 2
