"""What a model is, is read from its signature, and from what its graph does with a string."""

from typing import Any

import pytest

from tfleet.worker.model.graph_facts import GraphFacts
from tfleet.worker.model.kind import ModelKind, kind_of
from tfleet.worker.model.signature import Signature, TensorInfo

_ROW = TensorInfo("y", "y:0", "float32", (None, 5))


def _x(dtype: str, *shape: int | None, name: str = "x") -> TensorInfo:
    return TensorInfo(name, f"{name}:0", dtype, shape)


def _kind(inputs: Any, outputs: Any = (_ROW,), **facts: Any) -> ModelKind:
    inputs = (inputs,) if isinstance(inputs, TensorInfo) else inputs
    return kind_of(Signature("s", tuple(inputs), tuple(outputs)), GraphFacts(**facts))


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        (_x("float32", None, 224, 224, 3), "image"),
        (_x("uint8", None, 32, 32, 3), "image"),
        (_x("float16", None, 1, 28, 28), "image"),
        (_x("int8", None, 32, 32, 3), "tensors"),
        (_x("float32", None, 10), "table"),
        (_x("float32", None, 1), "table"),
        (_x("int64", None), "table"),
        ((_x("float32", None, 1, name="a"), _x("string", None, name="b")), "table"),
        ((_x("float32", None, 1, name="a"), _x("float32", None, 2, name="b")), "tensors"),
        (_x("int32", None, None), "sequence"),
        (_x("float32", None, 16000, 1), "sequence"),
        (_x("float32", None, 8, 32, 32, 3), "tensors"),
        (_x("string", None), "text"),
        (_x("string", None, 1), "text"),
        (_x("string"), "text"),
        (_x("string", None, 5), "tensors"),
        (_x("float32"), "tensors"),
        (TensorInfo("x", "x:0", "float32", None), "tensors"),
        (TensorInfo("x", "", "float32", (None, 3)), "tensors"),
        ((), "tensors"),
    ],
)
def test_the_inputs_say_the_kind(inputs: Any, kind: str) -> None:
    assert _kind(inputs) == kind


def test_a_string_is_an_image_only_with_a_decoder() -> None:
    assert _kind(_x("string", None), decodes=True) == "image"
    assert _kind(_x("string"), decodes=True) == "image"
    assert _kind(_x("string", None), parses=True) == "tensors"


def test_a_classifier_has_one_row_for_each_image() -> None:
    image = _x("float32", None, 32, 32, 3)
    assert _kind(image, (_ROW, _ROW)) == "tensors"
    assert _kind(image, (TensorInfo("y", "y:0", "float32", (None, 8, 8, 2)),)) == "tensors"
    assert _kind(image, (TensorInfo("y", "y:0", "int64", (None, 5)),)) == "tensors"
    assert _kind(image, (TensorInfo("y", "y:0", "float32", None),)) == "image"


def test_three_dimensions_are_an_image_if_a_vector_comes_out() -> None:
    assert _kind(_x("float32", 32, 32, 3), (TensorInfo("y", "y:0", "float32", (5,)),)) == "image"
    assert _kind(_x("float32", None, 100, 3)) == "sequence"


def test_optional_inputs_do_not_matter() -> None:
    rate = TensorInfo("rate", "rate:0", "float32", (), optional=True)
    assert _kind((_x("float32", None, 224, 224, 3), rate)) == "image"
