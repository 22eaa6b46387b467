"""Answers in JSON and in binary form, and as classes."""

import json
import math
import struct
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.oip.classification import Classes
from tfleet.worker.api.protocols.oip.request import RequestedOutput, WantedAnswer
from tfleet.worker.api.protocols.oip.response import AnsweringModel, InferAnswer, encode_answer

MODEL = AnsweringModel("wine", "3", Classes(("bad", "fair", "good")))
LIMITS = InputLimits()
ALL_JSON = WantedAnswer()
ALL_BINARY = WantedAnswer(binary_output=True)
Y = np.array([[1.5, -2]], np.float32)


def asked(*outputs: RequestedOutput) -> WantedAnswer:
    return WantedAnswer(outputs)


def encoded(outputs: dict[str, Any], wanted: WantedAnswer = ALL_JSON) -> InferAnswer:
    return encode_answer(outputs, wanted, MODEL, LIMITS)


def split(answer: InferAnswer) -> tuple[Any, bytes]:
    assert answer.json_bytes is not None
    return json.loads(answer.content[: answer.json_bytes]), answer.content[answer.json_bytes :]


def test_an_answer_names_model_version_and_outputs() -> None:
    answer = encoded({"y": Y})
    assert (answer.media_type, answer.json_bytes) == ("application/json", None)
    assert json.loads(answer.content) == {
        "model_name": "wine",
        "model_version": "3",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1.5, -2.0]}],
    }


def test_an_id_comes_back() -> None:
    assert json.loads(encoded({"y": Y}, WantedAnswer(id='"4\u00e92')).content)["id"] == '"4\u00e92'


@pytest.mark.parametrize(
    ("array", "kind", "text"),
    [
        (np.array([True, False]), "BOOL", "[true,false]"),
        (np.array([255], np.uint8), "UINT8", "[255]"),
        (np.array([-(2**63)]), "INT64", "[-9223372036854775808]"),
        (np.array([2**64 - 1], np.uint64), "UINT64", "[18446744073709551615]"),
        (np.array([0.1, 6e-7, 555557.5, 1], np.float32), "FP32", "[0.1,6e-7,555557.5,1.0]"),
        (np.array([0.1], np.float16), "FP16", "[0.1]"),
        (np.array([0.1], ml_dtypes.bfloat16), "BF16", "[0.1]"),
        (np.array([0.1]), "FP64", "[0.1]"),
        (np.array([np.nan, np.inf, -np.inf], np.float32), "FP32", "[NaN,Infinity,-Infinity]"),
        (np.array([b"a", "h\u00e9".encode()], object), "BYTES", '["a","h\u00e9"]'),
        (np.array(["Ada"]), "BYTES", '["Ada"]'),
        (np.empty((0, 2), np.float32), "FP32", "[]"),
        (np.float32(7), "FP32", "[7.0]"),
    ],
)
def test_each_datatype_is_written_in_json(array: Any, kind: str, text: str) -> None:
    content = encoded({"y": np.asarray(array)}).content.decode()
    shape = json.dumps(list(np.shape(array)), separators=(",", ":"))
    assert f'{{"name":"y","datatype":"{kind}","shape":{shape},"data":{text}}}' in content


def test_nan_drops_no_element() -> None:
    found = json.loads(encoded({"y": np.array([[1, np.nan], [2, 3]])}).content)["outputs"][0]["data"]
    assert (len(found), found[0], found[2:]) == (4, 1, [2, 3])
    assert math.isnan(found[1])


def test_bytes_that_are_no_text_are_in_base64_and_say_so() -> None:
    (output,) = json.loads(encoded({"y": np.array([b"\xff", b"a"], object)}).content)["outputs"]
    assert output["parameters"] == {"content_type": "base64"}
    assert output["data"] == ["/w==", "YQ=="]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int16).reshape(2, 3),
        np.arange(6.0).reshape(3, 2).T,
        np.empty((0, 3)),
        np.array(True),
    ],
)
def test_binary_outputs_are_bytes_in_row_major_order(array: Any) -> None:
    head, tail = split(encoded({"y": array}, ALL_BINARY))
    assert head["outputs"][0]["parameters"] == {"binary_data_size": array.nbytes}
    assert "data" not in head["outputs"][0]
    assert tail == array.tobytes()


def test_binary_strings_have_their_lengths_before_them() -> None:
    answer = encoded({"y": np.array([b"Ada", b""], object)}, ALL_BINARY)
    assert split(answer)[1] == struct.pack("<I", 3) + b"Ada" + struct.pack("<I", 0)
    assert answer.media_type == "application/octet-stream"


def test_bytes_are_in_the_order_in_which_outputs_were_asked_for() -> None:
    outputs = {"a": np.array([1], np.uint8), "b": np.array([2], np.uint8), "c": np.array([3], np.uint8)}
    request = asked(RequestedOutput("c", True), RequestedOutput("b", False), RequestedOutput("a", True))
    head, tail = split(encoded(outputs, request))
    assert [each["name"] for each in head["outputs"]] == ["c", "b", "a"]
    assert (tail, head["outputs"][1]["data"]) == (b"\x03\x01", [2])


def test_an_output_that_is_not_there_is_named() -> None:
    with pytest.raises(ProblemError, match="no output 'z': it has 'y'"):
        encoded({"y": Y}, asked(RequestedOutput("z", False)))


@pytest.mark.parametrize("binary", [True, False])
def test_a_complex_output_can_only_be_left_out(binary: bool) -> None:
    outputs = {"y": Y, "z": np.array([1j])}
    with pytest.raises(ProblemError, match="complex128"):
        encoded(outputs, WantedAnswer(binary_output=binary))
    assert json.loads(encoded(outputs, asked(RequestedOutput("y", False))).content)


def test_too_many_strings_are_refused() -> None:
    for request in (ALL_JSON, ALL_BINARY):
        with pytest.raises(ProblemError) as error:
            encode_answer({"y": np.array([b""] * 9, object)}, request, MODEL, InputLimits(values=8))
        assert error.value.problem.status == 413


SCORES = np.array([[1, 5, 2], [-7, -8, -9]], np.float32)


def classes(array: Any, count: int, *, binary: bool = False) -> Any:
    answer = encoded({"y": array}, asked(RequestedOutput("y", binary, count)))
    return split(answer) if binary else json.loads(answer.content)["outputs"][0]


def test_the_best_classes_of_each_row_are_strings() -> None:
    found = classes(SCORES, 2)
    assert (found["datatype"], found["shape"]) == ("BYTES", [2, 2])
    assert found["data"] == ["5.0:1:fair", "2.0:2:good", "-7.0:0:bad", "-8.0:1:fair"]


def test_there_are_no_more_classes_than_values() -> None:
    assert classes(SCORES, 100)["shape"] == [2, 3]


def test_labels_are_left_out_where_they_do_not_fit() -> None:
    assert classes(np.array([[1, 5]], np.int64), 1)["data"] == ["5:1"]


def test_an_output_without_rows_is_one_row() -> None:
    found = classes(np.array([1, 10, 5, 4], np.uint8), 2)
    assert (found["shape"], found["data"]) == ([2], ["10:1", "5:2"])


def test_a_row_of_one_number_is_of_class_0() -> None:
    model = AnsweringModel("wine", "3", Classes(("bad", "fair", "good"), by_row=True))
    for array, shape in (
        (np.array([1, 10], np.uint8), [2, 1]),
        (np.array([[1], [10]], np.uint8), [2, 1]),
        (np.array([], np.uint8), [0, 1]),
    ):
        answer = encode_answer({"y": array}, asked(RequestedOutput("y", False, 3)), model, LIMITS)
        found = json.loads(answer.content)["outputs"][0]
        assert (found["shape"], found["data"]) == (shape, ["1:0", "10:0"] if array.size else [])


def test_of_equal_values_the_first_is_better() -> None:
    for dtype in (np.float32, np.int8, np.uint8, ml_dtypes.bfloat16):
        found = classes(np.array([[3, 7, 7]], dtype), 3)["data"]
        assert [text.split(":")[1] for text in found] == ["1", "2", "0"], dtype


def test_the_smallest_integer_and_nan_come_last() -> None:
    assert classes(np.array([[-128, 0, 127]], np.int8), 3)["data"] == ["127:2:good", "0:1:fair", "-128:0:bad"]
    assert classes(np.array([[np.nan, 1, 2]]), 3)["data"] == ["2.0:2:good", "1.0:1:fair", "NaN:0:bad"]


def test_classes_may_be_binary() -> None:
    head, tail = classes(SCORES[:1], 1, binary=True)
    assert head["outputs"][0]["parameters"] == {"binary_data_size": len(tail)}
    assert tail == struct.pack("<I", 10) + b"5.0:1:fair"


@pytest.mark.parametrize("array", [np.array([[b"a"]], object), np.array([[True]]), np.array([[1j]])])
def test_only_numbers_can_be_ranked(array: Any) -> None:
    with pytest.raises(ProblemError, match="no numbers"):
        classes(array, 1)


def test_an_empty_output_has_no_classes() -> None:
    assert classes(np.empty((0, 3), np.float32), 2) | {"shape": None} == {
        "name": "y",
        "datatype": "BYTES",
        "shape": None,
        "data": [],
    }
