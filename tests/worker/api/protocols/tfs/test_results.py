"""How `:classify` and `:regress` answer."""

from typing import Any

import numpy as np
import pytest

from tests.worker.api.protocols.signatures import info, signature
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.tfs.results import (
    check_classifies,
    check_regresses,
    encode_classes,
    encode_values,
)

LIMITS = InputLimits()
CLASSES = np.array([[b"cat", b'd"og'], [b"owl", "é".encode()]], object)
SCORES = np.array([[0.25, 0.75], [1, np.nan]], np.float32)


@pytest.mark.parametrize(
    ("outputs", "written"),
    [
        (
            {"classes": CLASSES, "scores": SCORES},
            '[[["cat",0.25],["d\\"og",0.75]],[["owl",1.0],["é",NaN]]]',
        ),
        ({"scores": SCORES[:, :1]}, '[[["",0.25]],[["",1.0]]]'),
        ({"classes": CLASSES[:, :1]}, '[[["cat",0.0]],[["owl",0.0]]]'),
        ({"scores": SCORES[:, :0]}, "[[],[]]"),
        ({"scores": np.array([[1], [2]], np.float16)}, '[[["",1.0]],[["",2.0]]]'),
        ({"scores": SCORES[:, 1:], "others": np.array(1)}, '[[["",0.75]],[["",NaN]]]'),
    ],
)
def test_classes_are_pairs(outputs: Any, written: str) -> None:
    assert encode_classes(outputs, 2, LIMITS).decode() == f'{{"results":{written}}}\n'


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_a_regression_is_one_value_for_each_example(shape: tuple[int, ...]) -> None:
    array = np.array([2.5, np.inf], np.float32).reshape(shape)
    assert encode_values({"outputs": array}, 2, LIMITS) == b'{"results":[2.5,Infinity]}\n'


@pytest.mark.parametrize(
    "outputs",
    [
        {"scores": SCORES[0]},
        {"scores": SCORES[:1]},
        {"classes": CLASSES, "scores": SCORES[:, :1]},
        {"classes": SCORES},
        {"scores": CLASSES},
        {"scores": np.array([[1], [2]])},
    ],
)
def test_other_outputs_are_no_classes(outputs: Any) -> None:
    with pytest.raises(ProblemError, match=":predict") as error:
        encode_classes(outputs, 2, LIMITS)
    assert error.value.problem.status == 400


@pytest.mark.parametrize("array", [SCORES, SCORES[0, :1], np.array([1, 2]), CLASSES[0], np.float32(1)])
def test_other_outputs_are_no_values(array: Any) -> None:
    with pytest.raises(ProblemError, match=":predict") as error:
        encode_values({"outputs": np.asarray(array)}, 2, LIMITS)
    assert error.value.problem.status == 400


def test_a_signature_with_other_outputs_is_told_before_it_runs() -> None:
    other = signature(outputs=[info("y", "float32", (None,))])
    for check in (check_classifies, check_regresses):
        with pytest.raises(ProblemError, match="it has y float32"):
            check(other)
    for shape in ((None, 2), (None, None), None):
        check_classifies(signature(outputs=[info("scores", "float32", shape)]))
    for one in ((None,), (None, 1), None):
        check_regresses(signature(outputs=[info("outputs", "float32", one)]))


@pytest.mark.parametrize(
    ("dtype", "shape"), [("string", (None, 1)), ("int64", (None, 1)), ("float32", (None, 2, 2))]
)
def test_outputs_that_never_fit_are_told_before_they_run(dtype: str, shape: Any) -> None:
    for check, name in ((check_classifies, "scores"), (check_regresses, "outputs")):
        with pytest.raises(ProblemError, match=":predict"):
            check(signature(outputs=[info(name, dtype, shape)]))
