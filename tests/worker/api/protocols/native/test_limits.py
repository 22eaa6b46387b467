from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.support.bodies import arrow, npy, npz
from tests.worker.api.protocols.signatures import (
    ARROW,
    CSV,
    IMAGE,
    JSON,
    MIXED,
    NPY,
    NPZ,
    TEXT,
    VECTOR,
    column,
    info,
    signature,
)
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.native import InputLimits, decode, decode_query
from tfleet.worker.model.signature import Signature

NUMBERS = column("float64")
BYTES = {name: np.ones(40, np.int8) for name in "ab"}
WIDE = signature(info("a", "float64", (None,)), info("b", "float64", (None,)))

LONG = pa.array(["x" * 1000]).dictionary_encode()
SHARED = pa.array(["a", "a", "a"]).dictionary_encode()
OPEN = signature(info("x", "float32", (None, None, None)))
EMPTY = pa.Array.from_buffers(
    pa.list_(pa.list_(pa.float32(), 1000), 0),
    5,
    [None],
    children=[pa.FixedSizeListArray.from_arrays(pa.array([], pa.float32()), 1000)],
)
"""Five empty rows. A sum over their first dimension is not empty."""
LISTS = pa.array([["a", "b"], ["c", "d"]])


@pytest.mark.parametrize(
    ("body", "media_type", "model", "limits", "said"),
    [
        (b"[1, 2]", JSON, NUMBERS, {"body_bytes": 5}, "the body has 6 bytes, more than the 5 allowed"),
        (b"[1, 2]", JSON, NUMBERS, {"rows": 1}, "the body has 2 rows, more than the 1 allowed"),
        (
            b"[1, 2]",
            JSON,
            NUMBERS,
            {"tensor_bytes": 15},
            "a tensor of shape [2] takes more than the 15 bytes",
        ),
        (b"[1, 2]", JSON, NUMBERS, {"values": 2}, "about 3 values, more than the 2 allowed"),
        (b'["{{"]', JSON, TEXT, {"json_objects": 1}, "about 2 objects, more than the 1 allowed"),
        (b"x\n1\n2\n", CSV, NUMBERS, {"rows": 1}, "the body has 2 rows"),
        (b"x\n1\n2\n", CSV, NUMBERS, {"csv_cells": 2}, "about 3 cells, more than the 2 allowed"),
        (arrow({"x": [1.0, 2.0]}), ARROW, NUMBERS, {"rows": 1}, "the body has 2 rows"),
        (arrow({"x": [1.0, 2.0]}), ARROW, NUMBERS, {"tensor_bytes": 15}, "becomes more than the 15 bytes"),
        (
            arrow({"G": pa.array([[1, 2, 3]], pa.list_(pa.int8()))}),
            ARROW,
            signature(info("G", "float64", (None, 3))),
            {"tensor_bytes": 23},
            "a tensor of shape [1, 3] takes more than the 23 bytes",
        ),
        (arrow({"x": [1.0]}, batches=3), ARROW, NUMBERS, {"arrow_batches": 3}, "more than 3 batches"),
        (
            arrow({"x": LISTS}),
            ARROW,
            signature(info("x", "string", (None, 2))),
            {"values": 3},
            "the body has 4 strings, more than the 3 allowed",
        ),
        (arrow({"text": SHARED}), ARROW, TEXT, {"values": 2}, "the body has 4 strings, more than the 2"),
        (
            arrow({"text": SHARED}, batches=3),
            ARROW,
            TEXT,
            {"values": 11},
            "the body has 12 strings, more than the 11",
        ),
        (arrow({"x": [1.0, 2.0]}, batches=2), ARROW, column("float64"), {"tensor_bytes": 31}, "the 31 bytes"),
        (arrow(BYTES), ARROW, WIDE, {"tensor_bytes": 400}, "together take more than the 400 bytes allowed"),
        (
            arrow({"text": LONG}, batches=3),
            ARROW,
            TEXT,
            {"tensor_bytes": 3000},
            "together take more than the 3000 bytes allowed",
        ),
        (
            arrow({"x": EMPTY}),
            ARROW,
            OPEN,
            {"tensor_bytes": 4 * 5 * 1000 - 1},
            "a tensor of shape [5, 0, 1000] takes more than the 19999 bytes",
        ),
        (npy(np.zeros((5, 0, 1000), np.float32)), NPY, OPEN, {"tensor_bytes": 19_999}, "shape [5, 0, 1000]"),
        (npz(BYTES), NPZ, WIDE, {"tensor_bytes": 400}, "together take more than"),
        (npy(np.zeros((2, 3))), NPY, VECTOR, {"rows": 1}, "the body has 2 rows"),
        (npy(np.zeros((2, 3))), NPY, VECTOR, {"tensor_bytes": 23}, "takes more than the 23 bytes"),
        (npy(np.array(["a", "b"])), NPY, TEXT, {"values": 1}, "the body has 2 strings"),
        (npz({"G": np.zeros((1, 3))}), NPZ, VECTOR, {"tensor_bytes": 100}, "becomes more than the 100 bytes"),
        (npy(np.zeros((5, 2, 2), np.uint8)), NPY, IMAGE, {"rows": 4}, "the body has 5 rows"),
    ],
)
def test_a_body_over_a_limit_is_a_413(
    body: bytes, media_type: str, model: Signature, limits: dict[str, Any], said: str
) -> None:
    assert decode(body, media_type, model).rows
    with pytest.raises(ProblemError) as error:
        decode(body, media_type, model, (), InputLimits(**limits))
    assert error.value.problem.status == 413
    assert said in error.value.problem.detail


def test_a_query_is_limited_as_a_body_is() -> None:
    with pytest.raises(ProblemError) as error:
        decode_query([("age", "1"), ("name", "a" * 100)], MIXED, (), InputLimits(body_bytes=100))
    assert error.value.problem.status == 413
