"""Tensors in JSON: what is taken, and what is refused instead of being guessed."""

import json
import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.worker.api.protocols.oip.bodies import body, read, refused, tensor
from tests.worker.api.protocols.signatures import MIXED, Shape, info, signature
from tfleet.worker.model.signature import Signature


def model(dtype: str, shape: Shape = (None,)) -> Signature:
    return signature(info("x", dtype, shape))


TAKEN = [
    ("bool", "BOOL", [2], [True, False], [True, False]),
    ("uint8", "UINT8", [2], [0, 255], [0, 255]),
    ("uint16", "UINT16", [1], [65_535], [65_535]),
    ("uint32", "UINT32", [1], [2**32 - 1], [2**32 - 1]),
    ("uint64", "UINT64", [1], [2**64 - 1], [2**64 - 1]),
    ("int8", "INT8", [2], [-128, 127], [-128, 127]),
    ("int16", "INT16", [1], [-32_768], [-32_768]),
    ("int32", "INT32", [1], [-(2**31)], [-(2**31)]),
    ("int64", "INT64", [2], [2**63 - 1, -(2**53) - 1], [2**63 - 1, -(2**53) - 1]),
    ("float16", "FP16", [2], [1.5, -2], [1.5, -2.0]),
    ("bfloat16", "BF16", [1], [1.5], [1.5]),
    ("float32", "FP32", [3], [1, 0.96, 1435774380], [1.0, np.float32(0.96), np.float32(1435774380)]),
    ("float64", "FP64", [1], [0.1], [0.1]),
    ("string", "BYTES", [2], ["a", "h\u00e9"], [b"a", "h\u00e9".encode()]),
]


@pytest.mark.parametrize(("dtype", "kind", "shape", "data", "expected"), TAKEN)
def test_each_datatype_is_read_exactly(dtype: str, kind: str, shape: Any, data: Any, expected: Any) -> None:
    array = read(body(tensor("x", kind, shape, data)), model(dtype)).inputs["x"]
    assert array.tolist() == expected
    assert array.dtype == {"bfloat16": ml_dtypes.bfloat16, "string": object}.get(dtype, dtype)


REFUSED = [
    ("uint8", "UINT8", [1], [256], "out of range"),
    ("uint8", "UINT8", [1], [-1], "out of range"),
    ("int8", "INT8", [1], [128], "out of range"),
    ("uint64", "UINT64", [1], [2**64], "out of range"),
    ("int64", "INT64", [1], [1.0], "not an integer"),
    ("int32", "INT32", [1], [True], "true"),
    ("bool", "BOOL", [1], [1], "not true or false"),
    ("float32", "FP32", [1], [None], "null"),
    ("float32", "FP32", [1], ["1"], "without quotes"),
    ("float32", "FP32", [1], [1e300], "out of range"),
    ("float16", "FP16", [1], [70_000], "out of range"),
    ("string", "BYTES", [1], [1], "not a string"),
    ("float32", "FP64", [1], [1.0], "the model takes FP32"),
    ("int32", "INT64", [1], [1], "the model takes INT32"),
    ("float32", "BYTES", [1], ["1"], "the model takes FP32"),
    ("float32", "fp32", [1], [1.0], "datatype"),
    ("float32", "STRING", [1], [1.0], "datatype"),
    ("complex64", "FP32", [1], [1.0], "complex64"),
    ("resource", "FP32", [1], [1.0], "resource"),
]


@pytest.mark.parametrize(("dtype", "kind", "shape", "data", "said"), REFUSED)
def test_what_does_not_fit_is_refused(dtype: str, kind: str, shape: Any, data: Any, said: str) -> None:
    assert said in refused(body(tensor("x", kind, shape, data)), model(dtype))


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([2, 2], [1, 2, 3, 4]),
        ([2, 2], [[1, 2], [3, 4]]),
        ([1, 2, 2], [[[1, 2], [3, 4]]]),
        ([4, 1], [[1], [2], [3], [4]]),
        ([4], [1, 2, 3, 4]),
    ],
)
def test_data_are_flat_or_in_their_shape(shape: Any, data: Any) -> None:
    array = read(body(tensor("x", "INT32", shape, data)), model("int32", None)).inputs["x"]
    assert array.shape == tuple(shape)
    assert array.reshape(-1).tolist() == [1, 2, 3, 4]


def test_strings_may_be_nested_too() -> None:
    for data in (["a", "b"], [["a"], ["b"]]):
        array = read(body(tensor("x", "BYTES", [2, 1], data)), model("string", (None, 1))).inputs["x"]
        assert array.tolist() == [[b"a"], [b"b"]]


@pytest.mark.parametrize(("shape", "data"), [([0], []), ([0, 3], []), ([2, 0], [[], []]), ([2, 0], [])])
def test_a_tensor_may_be_empty(shape: Any, data: Any) -> None:
    assert read(body(tensor("x", "FP32", shape, data)), model("float32", None)).inputs["x"].shape == tuple(
        shape
    )


def test_a_scalar_is_a_list_of_one() -> None:
    array = read(body(tensor("x", "FP32", [], [2.5])), model("float32", ())).inputs["x"]
    assert array.shape == ()
    assert array.tolist() == 2.5


@pytest.mark.parametrize(
    ("shape", "data", "said"),
    [
        ([3], [1, 2], "has 3"),
        ([1], [1, 2], "has 1"),
        ([2, 2], [[1, 2], [3]], "list of 1 value"),
        ([2, 2], [[1, 2], 3], "stands where a list"),
        ([3, 2], [[1, 2, 3], [4, 5, 6]], "3"),
        ([2, 2], [[1, 2]], "a list of 1 value"),
        ([2], 1, "send a list"),
        ([2], {"a": 1}, "send a list"),
        ([2], [[1, 2]], "1 value"),
        ("-1", [1], "shape is the string"),
        (None, [1], "shape is null"),
        (["1"], [1], "shape has"),
        ([1.0], [1], "shape has"),
        ([True], [1], "shape has"),
        ([-1], [1], "shape has -1"),
        ([2, -5], [1], "shape has -5"),
        ([2**63], [1], "shape has"),
        ([2**4, 2**60 + 2], [1], "1 value"),
        ([2**2, 2**60 + 2], [1], "1 value"),
        ([1] * 33, [1], "33 dimensions"),
    ],
)
def test_a_shape_accounts_for_every_value(shape: Any, data: Any, said: str) -> None:
    found = {"name": "x", "datatype": "FP32", "shape": shape, "data": data}
    assert said in refused(body(found), model("float32", None))


def test_an_empty_tensor_of_a_huge_shape_is_too_large() -> None:
    assert "shape" in refused(body(tensor("x", "FP32", [0, 2**62], [])), model("float32", None), status=413)


def test_words_for_no_numbers_are_read() -> None:
    content = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[3],"data":[NaN,Infinity,-Infinity]}]}'
    found = read(content, model("float32")).inputs["x"].tolist()
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf]


def test_bytes_come_in_base64_where_the_input_says_so() -> None:
    sent = tensor("x", "BYTES", [2], ["/w==", ""], content_type="base64")
    assert read(body(sent), model("string")).inputs["x"].tolist() == [b"\xff", b""]
    sent = tensor("x", "BYTES", [1], ["-_"], content_type="base64")
    assert "alphabet" in refused(body(sent), model("string"))
    sent = tensor("x", "BYTES", [1], ["/w"], content_type="base64")
    assert "fill it up with =" in refused(body(sent), model("string"))
    sent = tensor("x", "BYTES", [1], [7], content_type="base64")
    assert "base64" in refused(body(sent), model("string"))


def test_a_wrong_value_is_named_by_its_place() -> None:
    assert "at [1, 0]" in refused(body(tensor("x", "UINT8", [2, 2], [1, 2, 300, 4])), model("uint8", (2, 2)))


def test_every_input_comes_once_and_no_other() -> None:
    age, name = tensor("age", "INT32", [1], [3]), tensor("name", "BYTES", [1, 1], ["Ada"])
    assert set(read(body(name, age), MIXED).inputs) == {"age", "name"}
    assert "lacks 'name'" in refused(body(age), MIXED)
    assert "twice" in refused(body(age, name, age), MIXED)
    assert "'nme'" in refused(body(age, {**name, "name": "nme"}), MIXED)
    assert "lacks" in refused(body(), MIXED)


def test_an_optional_input_may_be_left_out() -> None:
    loop = signature(info("x", "float32", (None,)), info("rate", "float32", (), optional=True))
    x, rate = tensor("x", "FP32", [1], [1.0]), tensor("rate", "FP32", [], [0.5])
    assert set(read(body(x), loop).inputs) == {"x"}
    assert set(read(body(x, rate), loop).inputs) == {"x", "rate"}


def test_a_key_that_occurs_twice_is_refused() -> None:
    inputs = json.dumps([tensor("x", "FP32", [1], [1.0])])
    for members in (f'"inputs":{inputs},"inputs":{inputs}', f'"id":"a","inputs":{inputs},"id":"b:c"'):
        assert "twice" in refused(f"{{{members}}}".encode(), model("float32"))
    again = inputs.replace('"data"', '"data":[2.0],"data"')
    assert "twice" in refused(f'{{"inputs":{again}}}'.encode(), model("float32"))


def test_colons_in_texts_are_no_keys() -> None:
    texts = ["a:b", ":", "\u003a"]
    sent = body(
        tensor("x", "BYTES", [3], texts, note="c:d"), id="e:f", parameters={"g:h": "i:j"}, other={"k": 1}
    )
    assert read(sent, model("string")).inputs["x"].tolist() == [b"a:b", b":", b":"]
