from __future__ import annotations

import pyarrow as pa
import pytest

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.filter import parse_filter

BATCH = pa.record_batch(
    {
        "G1": pa.array([1, 0, None], pa.int64()),
        "p": pa.array([0.1, 0.5, 3.0], pa.float32()),
        "city": ["Bern", "Basel", None],
        "a b": ["x", "y", "z"],
        "age": [" 18", "n/a", "7.5e0"],
        "flag": [True, False, True],
        "big": pa.array([2**60 + 1, 2, -(2**63)], pa.int64()),
        "huge": pa.array([2**64 - 1, 2**60 + 1, None], pa.uint64()),
        "word": pa.array(["a", "b", None]).dictionary_encode(),
    }
)


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("G1 == 1", [0]),
        ("G1 != 1", [1]),
        ("not G1 == 1", [1]),
        ("G1 == 1 or city is None", [0, 2]),
        ("G1 is not None and p < 0.2", [0]),
        ("p == 0.1", [0]),
        ("0.1 < p <= 3", [1, 2]),
        ("p > -1", [0, 1, 2]),
        ("city in ('Bern', 'Chur')", [0]),
        ("city not in ['Bern']", [1]),
        ('col("a b") != "x"', [1, 2]),
        ("number(age) >= 18", [0]),
        ('number("age") < 18', [2]),
        ("number(G1) == 1", [0]),
        ("number(age) in (18, 7.5)", [0, 2]),
        ("flag in (True,)", [0, 2]),
        ("p not in ()", [0, 1, 2]),
        ("flag", [0, 2]),
        ("flag == False", [1]),
        ("big > 1.5", [0, 1]),
        ("2.0 == big", [1]),
        ("big > p", [0, 1]),
        ("number(big) == 1152921504606846977", [0]),
        ("big >= -9223372036854775808", [0, 1, 2]),
        ("big < 18446744073709551615", [0, 1, 2]),
        ("p < 16777217", [0, 1, 2]),
        ("huge > 1", [0, 1]),
        ("huge >= -1", [0, 1]),
        ("huge == 18446744073709551615", [0]),
        ("big == 1152921504606846977 and huge > big", [0]),
        ("not huge == big", [0, 1]),
        ("huge in (18446744073709551615, 3)", [0]),
        ("word == 'a'", [0]),
        ("word in ('a', 'c')", [0]),
    ],
)
def test_rows_pass_for_which_it_is_true(text: str, passed: list[int]) -> None:
    mask = parse_filter(text).mask(BATCH).tolist()
    assert [row for row, passes in enumerate(mask) if passes] == passed


def test_the_columns_are_known_before_a_row_is_read() -> None:
    condition = parse_filter('G1 == 1 and (number(age) > 3 or col("a b") in ("x",)) and not city is None')
    assert condition.names == {"G1", "age", "a b", "city"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("p ==", "invalid syntax; it may have columns, numbers"),
        ("__import__('os').system('true')", "is not allowed"),
        ("p + 1 == 2", "'p \\+ 1' is not allowed"),
        ("open('f') == 1", "is not allowed"),
        ("p.real == 1", "is not allowed"),
        ("city in 'Bern'", "has to be a list of values"),
        ("city is 'Bern'", "what follows `is` has to be None"),
        ("city in (p,)", "'p' is not allowed"),
        ("p == 99999999999999999999", "99999999999999999999 has more than 64 bits"),
        ("p > -9223372036854775809", "-9223372036854775809 has more than 64 bits"),
        ("p in (18446744073709551616,)", "18446744073709551616 has more than 64 bits"),
        ("(" * 5000 + "p" + ")" * 5000, ""),
        ("p == 1 or " * 1000 + "p == 1", "more than 10000 characters"),
    ],
)
def test_anything_else_is_refused_and_never_run(text: str, reason: str) -> None:
    with pytest.raises(CannotScoreError, match=f"^--filter .*{reason}"):
        parse_filter(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("p", "is no condition: compare the column with a value"),
        ("1 < 2", "is no condition"),
        ("city > 3", r"compares values of different types; the columns are city \(string\)"),
        ("p in ('a',)", r"compares values of different types; the columns are p \(float\)"),
        ("age in (18, 19)", r"the columns are age \(string\). For numbers in a text write number\(NAME\)"),
        ("flag in (2,)", "compares values of different types"),
        ("G1 in (1.5,)", "Float value 1.500000 was truncated"),
    ],
)
def test_a_filter_that_fits_no_row_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(CannotScoreError, match=reason):
        parse_filter(text).mask(BATCH)
