"""Signatures of made-up models, for the tests of protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.native import DecodedInputs, decode
from tfleet.worker.model.signature import Signature, TensorInfo

Shape = tuple[int | None, ...] | None

JSON = "application/json"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
NPY = "application/x-npy"
NPZ = "application/x-npz"


def info(name: str, dtype: str, shape: Shape, *, optional: bool = False) -> TensorInfo:
    """A tensor of a signature."""
    return TensorInfo(name, f"serving_default_{name}:0", dtype, shape, optional=optional)


def signature(*inputs: TensorInfo, outputs: Sequence[TensorInfo] = ()) -> Signature:
    """A signature with these inputs, sorted as TensorFlow sorts them."""
    return Signature("serving_default", tuple(sorted(inputs, key=lambda one: one.name)), tuple(outputs))


def column(dtype: str) -> Signature:
    """One input `x` of one plain value in each row."""
    return signature(info("x", dtype, (None,)))


TABLE = signature(*(info(f"G{number}", "float32", (None, 1)) for number in range(1, 11)))
"""Ten named columns, as Keras exports them."""
COLUMNS = tuple(f"G{number}" for number in range(1, 11))
VECTOR = signature(info("G", "float32", (None, 3)))
"""A table with one input."""
ABC = ("a", "b", "c")
MIXED = signature(info("age", "int32", (None,)), info("name", "string", (None, 1)))
IMAGE = signature(info("image", "uint8", (None, 2, 2)))
TEXT = signature(info("text", "string", (None, 1)))
SEQUENCE = signature(info("chars", "int32", (None, None)))
VIDEO = signature(info("video", "float32", (None, 2, 2)), info("question", "int32", (None, 2)))
TENSORS = signature(info("a", "float32", (2,)), info("b", "float32", ()))
"""No rows: a vector of two, and a scalar."""


def values(decoded: DecodedInputs) -> Mapping[str, Any]:
    """The inputs as lists."""
    return {name: array.tolist() for name, array in decoded.inputs.items()}


def refused(
    body: bytes, media_type: str, model: Signature, columns: tuple[str, ...] = (), *, status: int = 400
) -> str:
    """The detail of the problem with which a body is refused: one short line."""
    with pytest.raises(ProblemError) as error:
        decode(body, media_type, model, columns)
    detail = error.value.problem.detail
    assert error.value.problem.status == status, detail
    assert detail.isprintable()
    assert len(detail) < 500
    return detail
