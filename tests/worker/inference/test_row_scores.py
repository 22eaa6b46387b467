"""When the rows of a table or text model are scores of classes, and with which labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfleet.worker.inference.class_scores import ClassScores
from tfleet.worker.inference.row_scores import row_scores
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.graph_facts import GraphFacts
from tfleet.worker.model.signature import Signature, TensorInfo
from tfleet.worker.model.spec import InputSpec, ModelSpec, OutputSpec

_CLASSES = TensorInfo("y", "y:0", "float32", (None, 3))
_ONE = TensorInfo("y", "y:0", "float32", (None, 1))


def _scores(
    *outputs: TensorInfo, labels: tuple[str, ...] = (), own: str | None = None, path: str = "m", **output: Any
) -> ClassScores | None:
    spec = ModelSpec("m", "1", Path(path), labels, InputSpec(), OutputSpec(**output))
    return row_scores(spec, Signature("s", (), outputs), GraphFacts(activation=own))


def test_without_labels_a_model_has_outputs() -> None:
    assert _scores(_CLASSES, own="softmax") is None
    assert _scores(_CLASSES, activation="none") is None
    assert _scores() is None


def test_labels_of_logits_have_scores_and_no_probabilities() -> None:
    found = _scores(_CLASSES, labels=("a", "b", "c"))
    assert found is not None
    assert (found.labels, found.probabilities, found.applied) == (("a", "b", "c"), False, "none")


def test_a_softmax_of_the_graph_is_not_applied_twice() -> None:
    found = _scores(_CLASSES, labels=("a", "b", "c"), own="softmax")
    assert found is not None
    assert (found.probabilities, found.applied) == (True, "none")
    with pytest.raises(ModelError, match="already"):
        _scores(_CLASSES, labels=("a", "b", "c"), own="softmax", activation="softmax")


def test_a_stated_activation_makes_numbers_labels() -> None:
    found = _scores(_CLASSES, activation="softmax")
    assert found is not None
    assert (found.labels, found.probabilities, found.applied) == (("0", "1", "2"), True, "softmax")


def test_one_sigmoid_with_two_labels_gives_both() -> None:
    found = _scores(_ONE, labels=("no", "yes"), own="sigmoid")
    assert found is not None
    assert found(np.array([[0.25]])).tolist() == [[0.75, 0.25]]


@pytest.mark.parametrize(
    ("outputs", "labels", "said"),
    [
        ((_CLASSES,), ("a", "b"), "2 labels"),
        ((_ONE,), ("a", "b"), "sigmoid"),
        ((_CLASSES, _ONE), ("a", "b", "c"), "one output"),
        ((TensorInfo("y", "y:0", "string", (None, 3)),), ("a", "b", "c"), "floats"),
        ((TensorInfo("y", "y:0", "float32", (None, None)),), ("a",), "classes"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    outputs: tuple[TensorInfo, ...], labels: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        _scores(*outputs, labels=labels)


def test_the_model_s_own_labels_are_found_behind_a_softmax(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "labels.txt").write_text("a\nb\nc\n")
    found = _scores(_CLASSES, own="softmax", path=str(tmp_path))
    assert found is not None
    assert found.labels == ("a", "b", "c")
    assert _scores(_CLASSES, path=str(tmp_path)) is None, "the rows may be anything"
