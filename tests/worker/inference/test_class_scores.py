"""Rows become scores, and are called probabilities only where they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfleet.worker.inference.class_scores import ClassScores, are_probabilities, class_scores
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.facts import find_facts
from tfleet.worker.model.graph_facts import GraphFacts
from tfleet.worker.model.kind import ModelKind
from tfleet.worker.model.signature import Signature, TensorInfo
from tfleet.worker.model.spec import InputSpec, ModelSpec, OutputSpec, ServingSpec

_STRING = TensorInfo("x", "x:0", "string", (None,))


def _scores(
    classes: int,
    labels: tuple[str, ...] = (),
    own: str | None = None,
    sum_to_one: bool = False,
    **output: Any,
) -> ClassScores:
    serving = ServingSpec(kind=ModelKind.IMAGE)
    spec = ModelSpec("m", "1", Path("m"), labels, InputSpec(), OutputSpec(**output), None, serving)
    facts = find_facts(spec, Signature("s", (_STRING,), ()), GraphFacts(activation=own))
    return class_scores(spec, facts, classes, labels, sum_to_one=sum_to_one)


def _rounded(ranking: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    return [(label, round(score, 5)) for label, score in ranking]


def _rows(*rows: list[float]) -> Any:
    return np.array(rows, np.float32)


def test_logits_are_scores_until_somebody_says_softmax() -> None:
    assert not _scores(3).probabilities
    assert _scores(3)(_rows([5.0, 1.0, 0.0])).tolist() == [[5, 1, 0]]
    stated = _scores(2, activation="softmax")
    assert stated.probabilities
    assert stated(_rows([1000.0, 1000.0])).tolist() == [[0.5, 0.5]]


def test_a_stated_sigmoid_is_applied_to_each_number() -> None:
    scores = _scores(3, activation="sigmoid")
    assert scores(_rows([0.0, 1000.0, -1000.0])).tolist() == [[0.5, 1, 0]]


def test_an_activation_of_the_graph_is_not_applied_again() -> None:
    scores = _scores(3, own="softmax")
    assert (scores.probabilities, scores.applied) == (True, "none")
    assert scores(_rows([0.2, 0.3, 0.5])).tolist() == pytest.approx(_rows([0.2, 0.3, 0.5]))


@pytest.mark.parametrize(("labels", "expected"), [(("cat", "dog"), ("cat", "dog")), ((), ("0", "1"))])
def test_one_sigmoid_is_the_second_of_two_labels(labels: Any, expected: tuple[str, ...]) -> None:
    scores = _scores(1, labels, own="sigmoid")
    assert scores.labels == expected
    (row,) = scores(_rows([0.9]))
    assert _rounded(scores.top(row, 2)) == [(expected[1], 0.9), (expected[0], 0.1)]


def test_one_sigmoid_with_one_label_is_its_probability() -> None:
    scores = _scores(1, ("cat",), own="sigmoid")
    assert scores(_rows([0.9])).tolist() == [[pytest.approx(0.9)]]


def test_one_number_that_is_no_sigmoid_is_a_score() -> None:
    scores = _scores(1)
    assert (scores.labels, scores.probabilities) == (("0",), False)


def test_one_number_that_is_no_sigmoid_has_no_two_labels() -> None:
    with pytest.raises(ModelError, match="no sigmoid, for two labels: set --activation to sigmoid"):
        _scores(1, ("cat", "dog"))
    stated = _scores(1, ("cat", "dog"), activation="sigmoid")
    assert stated(_rows([0.0])).tolist() == [[0.5, 0.5]]


def test_rows_that_sum_to_one_are_probabilities() -> None:
    assert _scores(3, sum_to_one=True).probabilities
    assert are_probabilities(_rows([0.2, 0.8], [1, 0]))
    assert not are_probabilities(_rows([0.2, 0.8], [0.5, 0.6]))
    assert not are_probabilities(_rows([-0.2, 1.2]))
    assert not are_probabilities(_rows([1.0]))


def test_the_best_come_first_down_to_the_threshold() -> None:
    scores = _scores(3, ("a", "b", "c"), own="sigmoid", threshold=0.5)
    assert _rounded(scores.top(_rows([0.6, 0.1, 0.9])[0], 3)) == [("c", 0.9), ("a", 0.6)]


def test_numbers_are_labels_where_there_are_none() -> None:
    assert _scores(3, own="softmax").labels == ("0", "1", "2")
