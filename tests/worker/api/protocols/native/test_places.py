"""Whatever is wrong with a value: the message names its column or input, and its row."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.support.bodies import arrow, npy, npz, stream
from tests.worker.api.protocols.signatures import (
    ABC,
    ARROW,
    CSV,
    JSON,
    MIXED,
    NPY,
    NPZ,
    TEXT,
    VECTOR,
    VIDEO,
    column,
    refused,
)
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.native import decode, decode_query
from tfleet.worker.model.signature import Signature

FLOATS, INTS, BYTES = column("float32"), column("int8"), column("string")
NOT_UTF8 = pa.array([b"a", b"\xff"]).view(pa.string())
TWO_BATCHES = [pa.record_batch([pa.array(part)], names=["x"]) for part in ([1.0, 2.0], [3.0, None])]
BAD_IN_SECOND = [pa.record_batch([part], names=["x"]) for part in (pa.array(["a", "b"]), NOT_UTF8)]
HALF = np.array(["a", "b"])
HALF.view(np.uint32)[1] = 0xD800
BEYOND = np.array(["ab", "cd"])
BEYOND.view(np.uint32)[3] = 2**31

ROW_1 = "row 1 (the first is 0)"


@pytest.mark.parametrize(
    ("body", "media_type", "model", "said"),
    [
        (b'[{"x": 1}, {"x": null}]', JSON, FLOATS, f"column 'x', {ROW_1}: null is no float32"),
        (b'{"x": [1, null]}', JSON, FLOATS, f"column 'x', {ROW_1}: null is no float32"),
        (b'[{"x": 1}, {}]', JSON, FLOATS, f"{ROW_1} lacks 'x'"),
        (b'[{"x": 1}, {"y": 1}]', JSON, FLOATS, f"{ROW_1} has 'y', unknown to the model"),
        (b'[{"x": 1}, {"x": 1e39}]', JSON, FLOATS, f"column 'x', {ROW_1}: 1e+39 is out of range"),
        (b"[1, 1e400]", JSON, FLOATS, f"column 'x', {ROW_1}: a number beyond 1.8e308 is out of range"),
        (b"[1, -1e400]", JSON, column("float64"), f"column 'x', {ROW_1}: a number beyond 1.8e308 is out of"),
        (b"[1, 1" + b"0" * 350 + b"]", JSON, FLOATS, f"column 'x', {ROW_1}: a number of hundreds"),
        (b"[1, 1" + b"0" * 6000 + b"]", JSON, FLOATS, f"column 'x', {ROW_1}: a number beyond 1.8e308"),
        (b"[1, 1e400]", JSON, INTS, f"column 'x', {ROW_1}: a number beyond 1.8e308 is out of range for int8"),
        (b"[1, 1" + b"0" * 50 + b"]", JSON, INTS, f"column 'x', {ROW_1}: 1e+50 is out of range for int8"),
        (b"[1, NaN]", JSON, INTS, f"column 'x', {ROW_1}: nan is not an integer"),
        (b"[1, 200]", JSON, INTS, f"column 'x', {ROW_1}: 200 is out of range for int8 (-128 to 127)"),
        (b"[true, 1e400]", JSON, column("bool"), f"column 'x', {ROW_1}: a number beyond 1.8e308 is not true"),
        (b'["a", 1e400]', JSON, BYTES, f"column 'x', {ROW_1}: a number beyond 1.8e308 is not a string"),
        (b'["a", "\\ud800"]', JSON, BYTES, f"column 'x', {ROW_1}: the string has half of a surrogate pair"),
        (b'["a", {"b64": "/"}]', JSON, BYTES, f"column 'x', {ROW_1}: the value of b64 is not base64"),
        (b"[[1, 2, 3], [1, 2, 1e400]]", JSON, VECTOR, f"input 'G', {ROW_1} at [2]: a number beyond 1.8e308"),
        (b"x\n1\n1e39\n", CSV, FLOATS, "line 3 of the CSV file, column 'x': 1e+39 is out of range"),
        (b"x\n1\n1e400\n", CSV, FLOATS, "line 3 of the CSV file, column 'x': '1e400' is out of range"),
        (b"x\n1\n" + b"9" * 500 + b"\n", CSV, FLOATS, "line 3 of the CSV file, column 'x': a number of 500"),
        (b"x\n1\n200\n", CSV, INTS, "line 3 of the CSV file, column 'x': 200 is out of range for int8"),
        (b"x\n1\n \n", CSV, INTS, "line 3 of the CSV file, column 'x': the cell is empty"),
        (b"age,name\n1,a\n2\n", CSV, MIXED, "line 3 of the CSV file has 1 value, and its header has 2"),
        (b"x\na\n\xff\n", CSV, BYTES, "line 3 of the CSV file is not UTF-8"),
        (stream(TWO_BATCHES), ARROW, FLOATS, "column 'x', row 3 (the first is 0): null is no value"),
        (arrow({"x": [1.0, 1e39]}), ARROW, FLOATS, f"column 'x', {ROW_1}: 1e+39 is out of range for float32"),
        (arrow({"x": [1, 200]}, batches=2), ARROW, INTS, f"column 'x', {ROW_1}: 200 is out of range"),
        (arrow({"x": NOT_UTF8}), ARROW, BYTES, f"column 'x', {ROW_1}: the string is not UTF-8"),
        (stream(BAD_IN_SECOND), ARROW, BYTES, "column 'x', row 3 (the first is 0): the string is not UTF-8"),
        (
            arrow({"x": NOT_UTF8.dictionary_encode()}),
            ARROW,
            BYTES,
            "column 'x': the Arrow data are not valid: Dictionary array invalid",
        ),
        (arrow({"y": [1.0]}), ARROW, FLOATS, "has 'y', unknown to the model"),
        (npy(np.array([1.0, 1e39])), NPY, FLOATS, f"input 'x', {ROW_1}: 1e+39 is out of range for float32"),
        (npy(HALF), NPY, TEXT, f"input 'text', {ROW_1}: the string is not Unicode"),
        (npy(BEYOND), NPY, BYTES, f"input 'x', {ROW_1}: the string is not Unicode"),
        (npy(np.array(HALF[1])), NPY, BYTES, "input 'x': the string is not Unicode"),
        (npy(np.array([1, 200])), NPY, INTS, f"input 'x', {ROW_1}: 200 is out of range for int8"),
        (
            npz({"video": np.zeros((2, 2, 2)), "question": np.array([[1, 2], [3, 2**40]])}),
            NPZ,
            VIDEO,
            f"input 'question', {ROW_1} at [1]: 1099511627776 is out of range for int32",
        ),
    ],
)
def test_a_wrong_value_is_named_by_row_and_column(
    body: bytes, media_type: str, model: Signature, said: str
) -> None:
    assert said in refused(body, media_type, model)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "column 'b': the cell is empty"),
        ("x", "column 'b': 'x' is no float32"),
        ("1e39", "column 'b': 1e+39 is out of range for float32"),
        ("1e400", "column 'b': '1e400' is out of range for float32"),
    ],
)
def test_a_wrong_value_in_a_query_is_named_by_column(text: str, said: str) -> None:
    with pytest.raises(ProblemError) as error:
        decode_query([("a", "1"), ("b", text), ("c", "1")], VECTOR, ABC)
    assert (error.value.problem.status, said in error.value.problem.detail) == (400, True)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"x": [Infinity, -Infinity]}', [np.inf, -np.inf]),
        (b"[1e308, NaN]", [1e308, np.nan]),
        (b'[{"x": 1e-400}]', [0.0]),
        (b'{"x": 1e400, "x": 2}', None),
    ],
)
def test_numbers_at_the_edge_are_what_was_sent(body: bytes, expected: Any) -> None:
    if expected is None:
        assert "'x' occurs twice" in refused(body, JSON, column("float64"))
    else:
        np.testing.assert_array_equal(decode(body, JSON, column("float64")).inputs["x"], expected)
