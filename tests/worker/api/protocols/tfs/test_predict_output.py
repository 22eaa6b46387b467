"""How outputs are written, by the rules of TensorFlow Serving's REST API."""

import json
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.tfs.predict_output import encode_predict

LIMITS = InputLimits()
F32 = np.float32


def text(values: Any, dtype: Any = F32) -> str:
    return encode_predict({"y": np.array(values, dtype)}, LIMITS, by_row=True).decode()


@pytest.mark.parametrize(
    ("values", "dtype", "written"),
    [
        ([2.5, 3.0], F32, "[2.5,3.0]"),
        ([555557.5], F32, "[555557.5]"),  # tensorflow/serving#1332
        ([6e-7], F32, "[6e-7]"),  # tensorflow/serving#1014
        ([0.2, 1 / 3], F32, "[0.2,0.33333334]"),
        ([0.2, 1 / 3], np.float64, "[0.2,0.3333333333333333]"),
        ([1 / 3, 2], np.float16, "[0.3333,2.0]"),  # tensorflow/serving#1639
        ([1 / 3, 2], ml_dtypes.bfloat16, "[0.334,2.0]"),
        ([9000000, 16777216], F32, "[9000000.0,16777216.0]"),
        ([np.nan, np.inf, -np.inf, 1], F32, "[NaN,Infinity,-Infinity,1.0]"),
        ([2**53 + 1, -(2**63)], np.int64, "[9007199254740993,-9223372036854775808]"),
        ([2**64 - 1], np.uint64, "[18446744073709551615]"),
        ([True, False], np.bool_, "[true,false]"),
        ([[1, 2], [3, 4]], np.int8, "[[1,2],[3,4]]"),
        ([b"a", "é".encode()], object, '["a","é"]'),
        ([b"a", b"\xff"], object, '["a",{"b64":"/w=="}]'),
        ([], F32, "[]"),  # tensorflow/serving#1610: no detections
        (np.zeros((0, 4)), F32, "[]"),
        (np.zeros((2, 0)), F32, "[[],[]]"),
    ],
)
def test_one_output_is_written_without_its_name(values: Any, dtype: Any, written: str) -> None:
    assert text(values, dtype) == f'{{"predictions":{written}}}\n'


def test_strings_of_bytes_outputs_are_base64() -> None:
    outputs = {"image_bytes": np.array([b"a", b"\xff"], object), "image": np.array([b"a", b"b"], object)}
    assert json.loads(encode_predict(outputs, LIMITS, by_row=True)) == {
        "predictions": [
            {"image_bytes": {"b64": "YQ=="}, "image": "a"},
            {"image_bytes": {"b64": "/w=="}, "image": "b"},
        ]
    }
    found = json.loads(encode_predict({"x_bytes": np.array(b"a", object)}, LIMITS, by_row=False))
    assert found == {"outputs": {"b64": "YQ=="}}
    assert text([1.5], F32) == '{"predictions":[1.5]}\n'
    numbers = encode_predict({"x_bytes": np.array([1, 2], np.uint8)}, LIMITS, by_row=True)
    assert numbers == b'{"predictions":[1,2]}\n'


@pytest.mark.parametrize("shape", [(), (2,), (2, 1), (1, 3), (2, 1, 4), (0,), (2, 0), (0, 2), (3, 0, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.bool_, object])
@pytest.mark.parametrize("rows", [1, 3])
def test_each_row_of_several_outputs_is_an_object(shape: tuple[int, ...], dtype: Any, rows: int) -> None:
    array = (np.arange(rows * int(np.prod(shape))) % 7).reshape(rows, *shape).astype(dtype)
    if dtype is object:
        array = np.array([f'],[{value}"'.encode() for value in array.reshape(-1).tolist()], object)
        array = array.reshape(rows, *shape)
    if dtype is np.float32 and array.size > 2:
        array.reshape(-1)[1] = np.nan
    outputs: dict[str, Any] = {"a": array, 'b"': np.arange(rows)}
    found = encode_predict(outputs, LIMITS, by_row=True).decode()
    alone = json.loads(encode_predict({"a": array}, LIMITS, by_row=True))["predictions"]
    expected = [{"a": value, 'b"': number} for number, value in enumerate(alone)]
    assert json.dumps(json.loads(found)["predictions"]) == json.dumps(expected)


def test_no_rows_of_several_outputs_are_an_empty_list() -> None:
    outputs: dict[str, Any] = {"boxes": np.zeros((0, 4), F32), "classes": np.zeros(0, np.int64)}
    assert encode_predict(outputs, LIMITS, by_row=True) == b'{"predictions":[]}\n'


def test_columns_are_complete_tensors() -> None:
    one: dict[str, Any] = {"y": np.array([[2.5]], F32)}
    assert encode_predict(one, LIMITS, by_row=False) == b'{"outputs":[[2.5]]}\n'
    several: dict[str, Any] = {"a": np.array(3, np.int64), "b": np.array([0.1, np.nan], F32)}
    assert encode_predict(several, LIMITS, by_row=False) == b'{"outputs":{"a":3,"b":[0.1,NaN]}}\n'


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"y": np.array(1, F32)}, "'y' has no shape information"),
        ({"a": np.zeros(2, F32), "b": np.array(1, F32)}, "'b' has no shape information"),
        ({"a": np.zeros(2, F32), "b": np.zeros((3, 1), F32)}, "'b' has inconsistent batch size"),
        ({"a": np.zeros((0, 2), F32), "b": np.array([b"x"], object)}, "'b' has inconsistent batch size"),
    ],
)
def test_rows_need_outputs_with_rows(outputs: Any, said: str) -> None:  # tensorflow/serving#1047
    with pytest.raises(ProblemError) as error:
        encode_predict(outputs, LIMITS, by_row=True)
    assert error.value.problem.status == 400
    assert said in error.value.problem.detail
    assert '{"inputs": ...}' in error.value.problem.detail
    assert json.loads(encode_predict(outputs, LIMITS, by_row=False))["outputs"] is not None


@pytest.mark.parametrize("by_row", [True, False])
def test_a_complex_output_is_refused_with_the_way_to_get_it(by_row: bool) -> None:
    outputs: dict[str, Any] = {"y": np.zeros(2, F32), "z": np.array([1j, 2], np.complex64)}
    with pytest.raises(ProblemError, match="complex64, which JSON has not: use POST /predict") as error:
        encode_predict(outputs, LIMITS, by_row=by_row)
    assert error.value.problem.status == 400


def test_more_values_than_allowed_are_refused() -> None:
    limits = InputLimits(values=5)
    with pytest.raises(ProblemError) as error:
        encode_predict({"a": np.zeros(3, F32), "b": np.zeros(3, F32)}, limits, by_row=True)
    assert error.value.problem.status == 413
