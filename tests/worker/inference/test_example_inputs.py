"""Generated inputs fit the signature in type and shape."""

from typing import Any

import numpy as np
import pytest

from tfleet.worker.image.formats import sniff
from tfleet.worker.inference.example_inputs import example_inputs
from tfleet.worker.model.dtypes import numpy_dtype
from tfleet.worker.model.graph_facts import GraphFacts
from tfleet.worker.model.signature import Signature, TensorInfo


def _inputs(*infos: TensorInfo, rows: int = 2, **facts: Any) -> list[Any]:
    return list(example_inputs(Signature("s", infos, ()), rows, GraphFacts(**facts)))


@pytest.mark.parametrize(
    "dtype", ["float32", "float16", "bfloat16", "float64", "int8", "uint64", "bool", "complex64", "string"]
)
def test_each_type_is_made(dtype: str) -> None:
    (inputs,) = _inputs(TensorInfo("x", "x:0", dtype, (None, 3)))
    assert inputs["x"].dtype == numpy_dtype(dtype)
    assert inputs["x"].shape == (2, 3)


def test_whole_numbers_are_in_every_embedding() -> None:
    (inputs,) = _inputs(TensorInfo("x", "x:0", "int32", (None, 100)))
    assert set(np.unique(inputs["x"])) == {0, 1}


def test_open_dimensions_get_several_sizes() -> None:
    sizes = [inputs["x"].shape for inputs in _inputs(TensorInfo("x", "x:0", "float32", (None, None, 4)))]
    assert sizes[:3] == [(2, 8, 4), (2, 1, 4), (2, 32, 4)]


def test_scalars_and_unknown_ranks_are_made_too() -> None:
    (inputs,) = _inputs(TensorInfo("s", "s:0", "float32", ()), TensorInfo("u", "u:0", "float32", None))
    assert (inputs["s"].shape, inputs["u"].shape) == ((), (2,))


def test_strings_are_what_the_graph_makes_of_them() -> None:
    info = TensorInfo("x", "x:0", "string", (None,))
    assert sniff(_inputs(info, decodes=True)[0]["x"][0]) == "JPEG"
    assert _inputs(info, parses=True)[0]["x"].tolist() == [b"", b""]
    assert _inputs(info)[0]["x"].tolist() == [b"good", b"bad"]


@pytest.mark.parametrize("shape", [(None,), (None, 1), (None, 3), (None, 2, 2)])
@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8", "bool", "string"])
def test_rows_are_different(dtype: str, shape: tuple[int | None, ...]) -> None:
    (inputs,) = _inputs(TensorInfo("x", "x:0", dtype, shape))
    first, second = inputs["x"]
    assert not np.array_equal(first, second)


def test_pictures_are_different_in_each_row() -> None:
    (inputs,) = _inputs(TensorInfo("x", "x:0", "string", (None,)), rows=3, decodes=True)
    assert len(set(inputs["x"])) == 3


def test_optional_inputs_are_left_out() -> None:
    (inputs,) = _inputs(
        TensorInfo("x", "x:0", "float32", (None,)), TensorInfo("o", "o:0", "float32", (), optional=True)
    )
    assert list(inputs) == ["x"]


def test_what_no_request_can_carry_is_not_made() -> None:
    assert _inputs(TensorInfo("x", "x:0", "resource", ())) == []
    assert _inputs(TensorInfo("x", "", "float32", (None,))) == []
    assert _inputs(TensorInfo("x", "x:0", "float32", (None, 10**9))) == []
