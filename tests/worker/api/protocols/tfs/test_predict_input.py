"""What becomes of a body of `:predict`, by the rules of TensorFlow Serving's REST API."""

import json
from typing import Any

import numpy as np
import pytest

from tests.worker.api.protocols.signatures import info, signature
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.tfs.predict_input import TfsInputs, decode_predict, read_predict
from tfleet.worker.model.signature import Signature

LIMITS = InputLimits()
FLOAT, DOUBLE, HALF, BRAIN, INT32, INT64, UINT8, UINT64, BOOL, TEXT = (
    signature(info("x", dtype, None))
    for dtype in (
        "float32",
        "float64",
        "float16",
        "bfloat16",
        "int32",
        "int64",
        "uint8",
        "uint64",
        "bool",
        "string",
    )
)
THREE = signature(
    info("count", "int32", (None, 2)), info("word", "string", (None,)), info("size", "float32", (None,))
)
NAN, INF = float("nan"), float("inf")


def read(body: bytes | str, model: Signature, image_input: str | None = None) -> TfsInputs:
    sent = body.encode() if isinstance(body, str) else body
    return decode_predict(read_predict(sent, LIMITS), model, LIMITS, image_input)


def refused(body: bytes | str, model: Signature = FLOAT, status: int = 400) -> str:
    with pytest.raises(ProblemError) as error:
        read(body, model)
    detail = error.value.problem.detail
    assert error.value.problem.status == status, detail
    assert detail.isprintable()
    assert len(detail) < 500
    return detail


@pytest.mark.parametrize(
    ("value", "model", "expected"),
    [
        # one value for each row
        ("[1, 2.0, 3, 4, 5.003, 0.007, 0.0]", FLOAT, [1, 2, 3, 4, 5.003, 0.007, 0]),
        ("[1.0, 2, 0.662]", DOUBLE, [1, 2, 0.662]),
        ("[0.1, 2]", HALF, [0.1, 2]),
        ("[0.5, 2]", BRAIN, [0.5, 2]),
        ("[-128, 127]", signature(info("x", "int8", (None,))), [-128, 127]),
        ("[0, 255]", UINT8, [0, 255]),
        ("[-9223372036854775808, 9007199254740993]", INT64, [-(2**63), 2**53 + 1]),
        ("[18446744073709551615]", UINT64, [2**64 - 1]),
        ("[65535]", signature(info("x", "uint16", (None,))), [65535]),
        ("[true, false]", BOOL, [True, False]),
        ('["a", "é", ""]', TEXT, [b"a", "é".encode(), b""]),
        # one list for each row
        ("[[1,2],[3,4],[5,6]]", INT32, [[1, 2], [3, 4], [5, 6]]),
        ("[[[1],[2]]]", INT32, [[[1], [2]]]),
        ("[[], []]", FLOAT, [[], []]),
        # objects
        ('[{"x": 1.5}, {"x": 2}]', FLOAT, [1.5, 2]),
        ('[{"x": [[1], [2]]}]', FLOAT, [[[1], [2]]]),
        # bytes
        ('[{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]', TEXT, [b"hello", b"world"]),
        ('[[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]', TEXT, [[b"hello"], [b"world"]]),
        ('[{"x": [[{"b64": "aGVsbG8="}], ["w"]]}]', TEXT, [[[b"hello"], [b"w"]]]),
        ('[{"b64": "/w=="}, "text"]', TEXT, [b"\xff", b"text"]),
        # TensorFlow Serving wants no padding, and skips blanks
        ('[{"b64": "/w"}, {"b64": "aGVsbG8"}, {"b64": " aGVs\\nbG8"}]', TEXT, [b"\xff", b"hello", b"hello"]),
        # an input that is called as the key of bytes
        ('[{"b64": [1, 2]}]', signature(info("b64", "float32", None)), [[1, 2]]),
        # numbers at the ends of their types
        ("[NaN, Infinity, -Infinity, 1]", FLOAT, [NAN, INF, -INF, 1]),
        ("[1e308, -1e308]", FLOAT, [INF, -INF]),
        ("[1e-308]", FLOAT, [0]),
        ("[70000]", HALF, [INF]),
        ("[0.96, 1435774380]", FLOAT, [np.float32(0.96), 1435774336]),  # tensorflow/serving#1136
        ("[16777217, 123456789012345678901234567890]", FLOAT, [16777216, np.float32(1.2345679e29)]),
    ],
)
def test_rows_become_one_tensor(value: str, model: Signature, expected: Any) -> None:
    found = read(f'{{"instances": {value}}}', model)
    ((name, array),) = found.inputs.items()
    (only,) = model.inputs
    wanted = np.array(expected, array.dtype)
    assert (name, found.by_row, found.rows) == (only.name, True, len(expected))
    assert array.shape == wanted.shape
    np.testing.assert_array_equal(array, wanted)


@pytest.mark.parametrize(
    ("value", "model", "expected"),
    [
        ("[[[1,2],[3,4],[5,6]]]", INT32, [[[1, 2], [3, 4], [5, 6]]]),
        ('{"x": [[1,2],[3,4]]}', INT32, [[1, 2], [3, 4]]),
        ("2.5", FLOAT, 2.5),
        ('{"x": 2}', FLOAT, 2),
        ("[]", FLOAT, []),
        ("[[], []]", FLOAT, [[], []]),
        ('{"b64": "aGVsbG8="}', TEXT, b"hello"),
        ('[{"b64": "aGVsbG8="}, "a"]', TEXT, [b"hello", b"a"]),
        ('{"x": {"b64": "aGVsbG8="}}', TEXT, b"hello"),
        ('"plain"', TEXT, b"plain"),
        ("true", BOOL, True),
        ("NaN", FLOAT, NAN),
    ],
)
def test_columns_are_complete_tensors(value: str, model: Signature, expected: Any) -> None:
    found = read(f'{{"inputs": {value}}}', model)
    array = found.inputs["x"]
    wanted = np.array(expected, array.dtype)
    assert not found.by_row
    assert array.shape == wanted.shape
    np.testing.assert_array_equal(array, wanted)


def test_each_row_may_have_several_inputs() -> None:
    body = """{"instances": [{"count": [1, 2], "word": "foo", "size": 1},
                             {"word": {"b64": "YmFy"}, "size": NaN, "count": [3, 4]}]}"""
    found = read(body, THREE)
    assert found.inputs["count"].tolist() == [[1, 2], [3, 4]]
    assert found.inputs["word"].tolist() == [b"foo", b"bar"]
    np.testing.assert_array_equal(found.inputs["size"], np.array([1, NAN], np.float32))
    assert found.rows == 2


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("[[1, 2], [3, 4]]", "[[[1, 2], [3, 4]]]", "'count', row 1"),
        ("[[1, 2], [3, 4], [5, 6]]", "[[1, 2], [3, 4]]", "'count', row 1"),
        ("[1, 2]", "5", "'count', row 1"),
        ("5", "[1, 2]", "'count', row 1"),
    ],
)
def test_an_input_has_one_shape_in_all_rows(first: str, second: str, said: str) -> None:
    rows = ", ".join(f'{{"count": {each}, "word": "a", "size": 1}}' for each in (first, second))
    assert said in refused(f'{{"instances": [{rows}]}}', THREE)


def test_columns_may_have_several_inputs_and_other_names() -> None:
    body = '{"inputs": {"count": [[1, 2]], "word": ["a:b"], "size": [1], "more": [{"deep:er": 1}]}}'
    found = read(body, THREE)
    assert {name: array.tolist() for name, array in found.inputs.items()} == {
        "count": [[1, 2]],
        "word": [b"a:b"],
        "size": [1.0],
    }
    assert found.rows == 1


def test_columns_of_different_lengths_have_no_rows() -> None:  # tensorflow/serving#1047
    found = read('{"inputs": {"count": [[1, 2]], "word": ["a", "b"], "size": []}}', THREE)
    assert (found.by_row, found.rows) == (False, None)


def test_an_optional_input_may_be_left_out() -> None:
    model = signature(info("rate", "float32", (), optional=True), info("x", "float32", (None,)))
    assert list(read('{"instances": [1, 2]}', model).inputs) == ["x"]
    assert list(read('{"inputs": {"x": [1], "rate": 0.5}}', model).inputs) == ["rate", "x"]


@pytest.mark.parametrize(
    "body",
    [
        '{"signature_name": "other", "instances": [1]}',
        '{"instances": [1], "signature_name": "other"}',
    ],
)
def test_a_body_may_name_a_signature(body: str) -> None:
    assert read_predict(body.encode(), LIMITS).signature_name == "other"


@pytest.mark.parametrize("body", ['{"instances": [1]}', '{"signature_name": "", "instances": [1]}'])
def test_the_default_signature_needs_no_name(body: str) -> None:
    assert read_predict(body.encode(), LIMITS).signature_name is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [1, 2]}X',
        b'{"instances": [1, 2]}\n{"instances": [3]}',
        b'{"instances": [1, 2]} \xff\xfe',
        b'\xef\xbb\xbf {"instances": [1, 2]}, "b": 3',
        '{"é": "ü", "instances": [1, 2]} tail'.encode(),
        b'  {"instances": [1, 2]}\r\n',
        b'{"other": {"deep": [null]}, "instances": [1, 2]}',
    ],
)
def test_what_means_nothing_is_ignored(body: bytes) -> None:
    assert read(body, FLOAT).inputs["x"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the document is empty"),
        (b"  ", "the document is empty"),
        (b"not json", "not JSON"),
        (b'{"instances": [1,', "not JSON"),
        (b'{"instances": ["\xff"]}', "not JSON"),
        (b"[1, 2]", "not an object"),
        (b"1 2", "not an object"),
        (b'{"signature_name": 5, "instances": [1]}', "must be a string"),
        (b'{"signature_name": null, "instances": [1]}', "must be a string"),
        (b"{}", "neither 'instances' nor 'inputs'"),
        (b'{"instances": [1], "inputs": [1]}', "'instances' and 'inputs'"),
        (b'{"instances": [1], "instances": [2]}', "'instances' occurs twice"),
        (b'{"inputs": {"x": 1, "x": 2}}', "'x' occurs twice"),
        (b'{"instances": []}', "an empty list"),
        (b'{"instances": 5}', "must be a list"),
        (b'{"instances": {"x": 1}}', "must be a list"),
        (b'{"instances": null}', "must be a list"),
        (b'{"inputs": {}}', "lacks 'x'"),
        (b'{"inputs": {"y": 1}}', "lacks 'x'"),
        (b'{"instances": [{"y": 1}]}', "'y', unknown to the model"),
        (b'{"instances": [{"x": 1, "y": 1}]}', "'y', unknown to the model"),
        (b'{"instances": [{"x": 1}, {"y": 1}]}', "row 1"),
        (b'{"instances": [{"x": 1}, 2]}', "row 1 (the first is 0) is 2, and row 0 is an object"),
        (b'{"instances": [2, {"x": 1}]}', "row 1 (the first is 0) is an object, and row 0 is not"),
        (b'{"instances": [{}]}', "lacks 'x'"),
        # rows of one shape: tensorflow/serving#1538, #1279, #276
        (b'{"instances": [[1,2],[3,4],[5,6,7]]}', "row 2"),
        (b'{"instances": [[1,2],[3,4],[[5,6]]]}', "row 2"),
        (b'{"instances": [1, [1]]}', "row 1"),
        (b'{"instances": [[1], 1]}', "row 1"),
        (b'{"instances": [[1, 2], [3, [4]]]}', "row 1"),
        (b'{"inputs": [[1, 2], [3]]}', "at [1]"),
        (b'{"inputs": [1, [2]]}', "at [1]"),
        # values of the wrong type; the message has the dtype and the shape
        (b'{"instances": ["1"]}', "x float32?"),
        (b'{"instances": [null]}', "null is no float32"),
        (b'{"instances": [true]}', "true is not a number"),
        (b'{"instances": [1e400]}', "out of range"),
        (b'{"inputs": null}', "null is no float32"),
    ],
)
def test_a_wrong_body_is_told_why(body: bytes, said: str) -> None:
    assert said in refused(body)


@pytest.mark.parametrize(
    ("body", "model", "said"),
    [
        ('{"instances": [1.0]}', INT32, "1.0 is not an integer"),
        ('{"instances": [2147483648]}', INT32, "out of range"),
        ('{"instances": [256]}', UINT8, "out of range for uint8 (0 to 255)"),
        ('{"instances": [-1]}', UINT64, "out of range"),
        ('{"instances": [18446744073709551616]}', UINT64, "out of range"),
        ('{"instances": [9223372036854775808]}', INT64, "out of range"),
        ('{"instances": [NaN]}', INT64, "not an integer"),
        ('{"instances": [[1, 2], ["a", "b"]]}', INT32, "row 1"),
        ('{"instances": [0]}', BOOL, "0 is not true or false"),
        ('{"instances": ["true"]}', BOOL, "is not true or false"),
        ('{"instances": [1]}', TEXT, "1 is not a string"),
        ('{"instances": ["\\ud800"]}', TEXT, "surrogate"),
        ('{"instances": [{"b64": "!"}]}', TEXT, "not base64"),
        # url-safe base64 has another alphabet: tensorflow/serving#1141
        ('{"instances": [{"b64": "_-8="}]}', TEXT, "the alphabet is the one with + and /"),
        ('{"instances": [{"b64": "_-8"}]}', TEXT, "the alphabet is the one with + and /"),
        ('{"instances": [{"b64": "aGVsbG8=="}]}', TEXT, "not base64"),
        ('{"instances": [{"b64": "aGVsb"}]}', TEXT, "not base64"),
        ('{"instances": [{"b64": 5}]}', TEXT, "'b64', unknown to the model"),
        # an image for a tensor of numbers: tensorflow/serving#1317, #2104
        (
            '{"instances": [{"b64": "aGVsbG8="}]}',
            signature(info("x", "float32", (None, 224, 224, 3))),
            "x float32[?, 224, 224, 3]",
        ),
        ('{"instances": [1]}', THREE, "send each row as an object with 'count', 'size', 'word'"),
        ('{"inputs": [1]}', THREE, "send an object with 'count', 'size', 'word'"),
        ('{"instances": [{"count": [1, 2], "size": 1}]}', THREE, "lacks 'word'"),
        ('{"inputs": {"count": [1, 2], "size": 1}}', THREE, "lacks 'word'"),
        ('{"instances": [1]}', signature(), "no inputs"),
        ('{"instances": [1]}', signature(info("x", "complex64", (None,))), "complex64"),
        ('{"instances": [1]}', signature(info("x", "resource", ())), "cannot be sent"),
    ],
)
def test_a_value_that_does_not_fit_is_told_why(body: str, model: Signature, said: str) -> None:
    assert said in refused(body, model)


def test_one_value_for_all_rows_is_sent_with_inputs() -> None:  # tensorflow/serving#1036, #1199
    model = signature(info("training", "bool", ()), info("x", "float32", (None,)))
    assert '{"inputs": {"training": VALUE, ...}}' in refused(
        '{"instances": [{"x": 1, "training": false}]}', model
    )
    found = read('{"inputs": {"x": [1], "training": false}}', model)
    assert found.inputs["training"].shape == ()
    assert found.rows is None, "so it is in no batch with others"


@pytest.mark.parametrize("deep", [33, 1000, 500_000])
@pytest.mark.parametrize("body", ['{"instances": [1], "unused": %s}', '{"instances": %s}', '{"inputs": %s}'])
def test_deep_lists_are_refused_and_harm_nobody(deep: int, body: str) -> None:
    sent = body % ("[" * deep + "]" * deep)
    if "unused" in body and deep <= 1000:
        assert read(sent, FLOAT).inputs["x"].tolist() == [1.0]
    else:
        refused(sent)


def test_limits_hold() -> None:
    assert "rows" in refused('{"instances": [' + "1," * LIMITS.rows + "1]}", status=413)
    small = InputLimits(body_bytes=20, tensor_bytes=16)
    for body in (b'{"instances": [1, 2, 3, 4]}', b'{"inputs":[1,1,1,1,1]}'[:20]):
        with pytest.raises(ProblemError):
            read_predict(body, small)
    document = read_predict(b'{"inputs":[1,2,3]}', small)
    with pytest.raises(ProblemError) as error:
        decode_predict(document, DOUBLE, small)
    assert error.value.problem.status == 413


def test_images_are_bytes_in_their_places() -> None:
    size = info("size", "float32", (None,), optional=True)
    model = signature(info("image", "float32", (None, 2, 2, 3)), size)
    rows = read('{"instances": [{"b64": "YQ=="}, {"b64": "YWE="}]}', model, "image")
    assert rows.inputs["image"].tolist() == [b"a", b"aa"]
    named = read('{"instances": [{"image": {"b64": "YQ=="}, "size": 1}]}', model, "image")
    assert (named.inputs["image"].tolist(), named.inputs["size"].tolist()) == ([b"a"], [1])
    single = read('{"inputs": {"b64": "YQ=="}}', model, "image")
    assert (single.inputs["image"].shape, single.inputs["image"].tolist()) == ((), b"a")
    raw = read(json.dumps({"instances": np.ones((1, 2, 2, 3)).tolist()}), model, "image")
    assert raw.inputs["image"].dtype == np.float32
    with pytest.raises(ProblemError, match="row 1"):
        read('{"instances": [{"b64": "YQ=="}, {"b64": "!"}]}', model, "image")
    for mixed in ('{"instances": [{"b64": "YQ=="}, 5]}', '{"inputs": [[[[[1]]]], {"b64": "YQ=="}]}'):
        with pytest.raises(ProblemError, match="all rows of a request are images, or none is"):
            read(mixed, model, "image")
