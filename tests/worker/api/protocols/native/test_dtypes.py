"""Every dtype through JSON and as an array: what it takes, exactly, and what it refuses."""

import json
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.worker.api.protocols.signatures import JSON, column, refused
from tfleet.worker.api.protocols.dtypes import from_array
from tfleet.worker.api.protocols.native import decode
from tfleet.worker.api.protocols.problems import CellError

INTEGERS = {
    f"{sign}int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if not sign else (0, 2**bits - 1)
    for bits in (8, 16, 32, 64)
    for sign in ("", "u")
}
LARGEST = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38}


def read(dtype: str, text: str) -> Any:
    return decode(f"[{text}]".encode(), JSON, column(dtype)).inputs["x"]


def reason(dtype: str, text: str) -> str:
    first = "false" if dtype == "bool" else "0"
    return refused(f"[{first}, {text}]".encode(), JSON, column(dtype))


@pytest.mark.parametrize(("dtype", "limits"), INTEGERS.items())
def test_integers_are_exact_up_to_their_limits(dtype: str, limits: tuple[int, int]) -> None:
    found = read(dtype, f"{limits[0]}, {limits[1]}")
    assert found.dtype == np.dtype(dtype)
    assert found.tolist() == list(limits)


@pytest.mark.parametrize(("dtype", "limits"), INTEGERS.items())
def test_integers_out_of_range_are_refused(dtype: str, limits: tuple[int, int]) -> None:
    for beyond in (limits[0] - 1, limits[1] + 1, 10**30, -(10**30)):
        assert f"out of range for {dtype}" in reason(dtype, str(beyond))


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("text", ["1.5", "1.0", "true", "null", '"1"', "NaN", "1e3"])
def test_integers_take_nothing_else(dtype: str, text: str) -> None:
    assert "column 'x', row 1 (the first is 0)" in reason(dtype, text)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_floats_take_integers_and_are_rounded(dtype: str) -> None:
    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    found = read(dtype, "1, 0.1, -2.5e-3, 65501, NaN, -Infinity")
    assert found.dtype == kind
    wanted = np.array([1, 0.1, -2.5e-3, 65501, np.nan, -np.inf]).astype(kind)
    np.testing.assert_array_equal(found.astype(np.float64), wanted.astype(np.float64))


@pytest.mark.parametrize(("dtype", "largest"), LARGEST.items())
def test_floats_out_of_range_are_refused(dtype: str, largest: float) -> None:
    assert float(read(dtype, repr(largest))[0]) == largest
    assert f"out of range for {dtype}" in reason(dtype, repr(largest * 1.01))
    assert f"out of range for {dtype}" in reason(dtype, f"-{10**39}")
    assert f"a number beyond 1.8e308 is out of range for {dtype}" in reason(dtype, str(10**400))
    assert "out of range" in reason(dtype, "1e400")


@pytest.mark.parametrize("text", ["0", "1", "null", '"true"', "1.0"])
def test_bools_are_true_or_false_only(text: str) -> None:
    assert read("bool", "true, false").tolist() == [True, False]
    assert "column 'x', row 1 (the first is 0)" in reason("bool", text)


@pytest.mark.parametrize(
    ("sent", "dtype"),
    [
        (np.array([1, 2], np.int64), "float32"),
        (np.array([1, 2], np.int64), "bfloat16"),
        (np.array([0.5, np.inf]), "float16"),
        (np.array([0.5, np.nan]), "bfloat16"),
        (np.array([0.1]), "float32"),
        (np.array([255, 0], np.int64), "uint8"),
        (np.array([2**63 - 1], np.uint64), "int64"),
        (np.array([1, 0], np.int8), "uint64"),
        (np.array([1.5], np.float32), "complex64"),
    ],
)
def test_arrays_of_other_types_are_converted(sent: Any, dtype: str) -> None:
    found = from_array(sent, column(dtype).inputs[0])
    assert found.dtype == np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    np.testing.assert_array_equal(found.astype(complex), sent.astype(found.dtype).astype(complex))


@pytest.mark.parametrize(
    ("sent", "dtype", "index"),
    [
        (np.array([0, 256], np.int64), "uint8", 1),
        (np.array([0, 0, -1], np.int8), "uint64", 2),
        (np.array([2**63], np.uint64), "int64", 0),
        (np.array([2**53, 2**63], np.uint64), "int64", 1),
        (np.array([1, 1e39]), "float32", 1),
        (np.array([1, 65520], np.float32), "float16", 1),
        (np.array([70000], np.int32), "float16", 0),
        (np.array([np.inf, 3.4e38], np.float32), "bfloat16", 1),
    ],
)
def test_arrays_out_of_range_are_refused(sent: Any, dtype: str, index: int) -> None:
    with pytest.raises(CellError, match=f"out of range for {dtype}") as error:
        from_array(sent, column(dtype).inputs[0])
    assert error.value.index == index


@pytest.mark.parametrize(
    ("sent", "dtype"),
    [
        (np.array([1.0]), "int32"),
        (np.array([True]), "int32"),
        (np.array([1]), "bool"),
        (np.array([1j]), "float64"),
    ],
)
def test_arrays_of_another_kind_are_refused(sent: Any, dtype: str) -> None:
    with pytest.raises(Exception, match=f"takes {dtype}, and the body has {sent.dtype}: convert it first"):
        from_array(sent, column(dtype).inputs[0])


def test_an_array_of_the_right_dtype_is_not_copied() -> None:
    sent = np.zeros((2, 3), np.float32)
    assert from_array(sent, column("float32").inputs[0]) is sent


def test_a_number_of_hundreds_of_digits_is_refused() -> None:
    beside_nan = f"NaN, {10**350}"  # which takes the other parser
    assert "a number of hundreds of digits is out of range" in refused(
        f"[{beside_nan}]".encode(), JSON, column("float64")
    )
    for number in (b"1e400", b"9" * 5000):
        said = refused(b"[NaN, " + number + b"]", JSON, column("float64"))
        assert "row 1 (the first is 0): a number beyond 1.8e308 is out of range" in said


def test_json_of_every_integer_is_what_python_reads() -> None:
    numbers = [0, -1, 2**53 + 1, -(2**63), 2**63 - 1]
    assert read("int64", json.dumps(numbers)[1:-1]).tolist() == numbers
