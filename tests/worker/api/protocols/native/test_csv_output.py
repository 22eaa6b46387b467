import csv
import io

import numpy as np
import pytest

from tests.worker.api.protocols.signatures import CSV, signature
from tfleet.worker.api.protocols.native import DecodedInputs, InputLimits, encode
from tfleet.worker.api.protocols.native.csv_output import encode_csv

ROWS = DecodedInputs({}, 2)


def test_outputs_are_columns_with_a_header() -> None:
    outputs = {
        "p": np.array([[0.1], [1e-7]], np.float32),
        "box": np.array([[1, 2], [3, 2**53 + 1]]),
        "ok": np.array([True, False]),
        "odd": np.array([np.nan, -np.inf]),
        "text": np.array([b'a "b", c', "h\u00e9\n".encode()], object),
    }
    rows = list(csv.reader(io.StringIO(encode(outputs, ROWS, CSV, signature()).decode(), newline="")))
    assert rows == [
        ["p", "box[0]", "box[1]", "ok", "odd", "text"],
        ["0.1", "1", "2", "true", "NaN", 'a "b", c'],
        ["1e-07", "3", "9007199254740993", "false", "-Infinity", "h\u00e9\n"],
    ]


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_one_row_is_one_line(shape: tuple[int, ...]) -> None:
    body = encode({"p": np.zeros(shape)}, DecodedInputs({}, 1, one_row=True), CSV, signature())
    assert body == b"p\r\n0.0\r\n"


def test_lines_end_as_the_standard_says() -> None:
    assert encode_csv({"a": np.array([1, 2])}, 2, InputLimits()) == b"a\r\n1\r\n2\r\n"
