import numpy as np
import pytest

from tests.worker.api.protocols.signatures import (
    ABC,
    CSV,
    MIXED,
    TABLE,
    TENSORS,
    TEXT,
    VECTOR,
    VIDEO,
    column,
    info,
    refused,
    signature,
    values,
)
from tfleet.worker.api.protocols.native import decode
from tfleet.worker.model.signature import Signature

HEADER = ",".join(f"G{number}" for number in range(10, 0, -1))
ROW = ",".join(str(number / 10) for number in range(10, 0, -1))


def test_columns_are_found_by_name() -> None:
    decoded = decode(f"{HEADER}\n{ROW}\n{ROW}\n".encode(), CSV, TABLE)
    assert (decoded.rows, decoded.one_row) == (2, False)
    assert values(decoded) == {
        f"G{number}": [[np.float32(number / 10).item()]] * 2 for number in range(1, 11)
    }


def test_a_vector_is_put_in_the_order_of_its_columns() -> None:
    assert values(decode(b"c,a,b\n3,1,2\n", CSV, VECTOR, ABC)) == {"G": [[1, 2, 3]]}


@pytest.mark.parametrize(
    "body",
    [
        b"age,name\n36,Ada\n",
        b"\xef\xbb\xbfname,age\r\nAda,36\r\n\r\n",
        b'"name", age\n"Ada", 36 ',
        b"age,name\n+36,Ada",
    ],
)
def test_usual_ways_to_write_a_table_are_read(body: bytes) -> None:
    assert values(decode(body, "text/csv; charset=utf-8", MIXED)) == {"age": [36], "name": [[b"Ada"]]}


def test_quoted_cells_hold_commas_and_line_ends() -> None:
    body = 'name,age\n"a, ""b""\nc",1\nh\u00e9,2\n'.encode()
    assert values(decode(body, CSV, MIXED)) == {"age": [1, 2], "name": [[b'a, "b"\nc'], ["h\u00e9".encode()]]}


@pytest.mark.parametrize(
    ("dtype", "cells", "expected"),
    [
        ("float32", "1,.5,-2e-3,+1.25,NaN,-inf,Infinity", [1, 0.5, -2e-3, 1.25, np.nan, -np.inf, np.inf]),
        ("int64", "-9223372036854775808,9223372036854775807", [-(2**63), 2**63 - 1]),
        ("uint64", "18446744073709551615", [2**64 - 1]),
        ("bool", "true,False,TRUE", [True, False, True]),
        ("float16", "0.1,65504", [0.1, 65504]),
        ("bfloat16", "0.1", [0.1]),
    ],
)
def test_each_dtype_has_its_texts(dtype: str, cells: str, expected: list[float]) -> None:
    found = decode(("x\n" + cells.replace(",", "\n")).encode(), CSV, column(dtype)).inputs["x"]
    np.testing.assert_array_equal(found, np.array(expected).astype(found.dtype))


@pytest.mark.parametrize(
    ("model", "text", "said"),
    [
        (
            MIXED,
            "age;name\n1;a\n",
            "the CSV header is 'age;name': separate the columns with commas",
        ),
        (MIXED, "age\n1\n", "the CSV header lacks 'name'"),
        (MIXED, "age,name,age\n1,a,2\n", "the CSV header has 'age' twice"),
        (MIXED, "age,name\n", "no rows"),
        (MIXED, "age,name\n1,a\n2\n", "line 3 of the CSV file has 1 value, and its header has 2"),
        (MIXED, "age,name\n1,a\n\n2,b\n", "line 3 of the CSV file has 0 values"),
        (MIXED, 'age,name\n1,"a\nb"\nx,c\n', "line 4 of the CSV file, column 'age': 'x' is no int32"),
        (MIXED, "age,name\n1,a\n,b\n", "line 3 of the CSV file, column 'age': the cell is empty"),
        (MIXED, "age,name\n1,\n", "line 2 of the CSV file, column 'name': the cell is empty: send JSON"),
        (MIXED, 'age,name\n1,"a\n', "line 2 of the CSV file: unexpected end of data"),
        (MIXED, 'age,name\n1,"a"b\n', "line 2 of the CSV file: ',' expected after '\"'"),
        (MIXED, "age,name\n2147483648,a\n", "column 'age': 2147483648 is out of range for int32"),
        (MIXED, "age,name\n1.0,a\n", "'1.0' is no int32"),
        (MIXED, "age,name\n1_0,a\n", "'1_0' is no int32"),
        (MIXED, "age,name\n\u0661,a\n", "is no int32"),
        (MIXED, f"age,name\n{'9' * 500},a\n", "a number of 500 characters is too long"),
        (MIXED, f"age,name\n1,{'a' * 200_000}\n", "field larger than field limit"),
        (
            column("float32"),
            "x\n1e39\n",
            "line 2 of the CSV file, column 'x': 1e+39 is out of range for float32",
        ),
        (column("float32"), "x\n1e999\n", "'1e999' is out of range for float32"),
        (column("float32"), "x\nNA\n", "'NA' is no float32"),
        (column("bool"), "x\n1\n", "'1' is not true or false"),
        (VECTOR, "a,b,c\n1,2,3\n", "send rows as JSON, as lists of 3 values, or write columns = "),
        (VIDEO, "video,question\n1,2\n", "input 'question' takes int32 values of shape [2] in each row"),
        (TENSORS, "a,b\n1,2\n", "without a dimension for rows"),
        (signature(info("z", "complex64", (None,))), "z\n1\n", "send .npy or .npz"),
    ],
)
def test_a_bad_file_is_refused_with_line_and_column(model: Signature, text: str, said: str) -> None:
    assert said in refused(text.encode(), CSV, model)


def test_a_file_that_is_not_utf8_is_refused_with_its_line() -> None:
    assert "line 2 of the CSV file is not UTF-8" in refused(b"text\n\xe9\n", CSV, TEXT)


def test_a_file_of_too_many_cells_is_refused_unread() -> None:
    assert "about 1048577 cells" in refused(b"," * 1_048_577, CSV, TABLE, status=413)
    assert "has 65537 rows" in refused(b"text\n" + b"a\n" * 65_537, CSV, TEXT, status=413)
