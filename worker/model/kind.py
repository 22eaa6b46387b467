"""What kind of model it is: decided from a signature's shapes and what its graph does. No TensorFlow."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from tfleet.worker.model.pixel_layout import pixel_layout

if TYPE_CHECKING:
    from tfleet.worker.model.graph_facts import GraphFacts
    from tfleet.worker.model.signature import Signature, TensorInfo


class ModelKind(StrEnum):
    """What a model takes, and so how it is asked.

    - image: one image in, one row of numbers out, a number for each class
    - table: rows of columns
    - text: one string
    - sequence: one row of numbers of any length, or one vector for each step
    - tensors: anything else, by the names of its inputs and outputs
    """

    IMAGE = "image"
    TABLE = "table"
    TEXT = "text"
    SEQUENCE = "sequence"
    TENSORS = "tensors"


_FLOATS: Final = frozenset({"float16", "bfloat16", "float32", "float64"})
_INTEGERS: Final = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
_PIXELS: Final = _FLOATS | (_INTEGERS - {"int8"})  # int8 is a quantized value, and nobody says of what
_CELLS: Final = _FLOATS | _INTEGERS | {"bool", "string"}
_ROWS: Final = 2  # [rows, numbers]
_STEPS: Final = 3  # [rows, steps, numbers]


def kind_of(signature: Signature, facts: GraphFacts) -> ModelKind:
    """The kind of a model with this default signature."""
    inputs = [info for info in signature.inputs if not info.optional]
    if not inputs or not all(info.tensor for info in signature.inputs):
        return ModelKind.TENSORS
    if len(inputs) > 1:
        return ModelKind.TABLE if all(map(_is_column, inputs)) else ModelKind.TENSORS
    (only,) = inputs
    if only.dtype == "string":
        return _kind_of_string(only, signature, facts)
    if _takes_pixels(only, signature):
        return ModelKind.IMAGE
    return _kind_of_numbers(only)


def _kind_of_numbers(only: TensorInfo) -> ModelKind:
    shape = only.shape or ()
    if only.dtype not in _CELLS or not shape:
        return ModelKind.TENSORS
    if _is_column(only) or (len(shape) == _ROWS and shape[1] is not None):
        return ModelKind.TABLE
    return ModelKind.SEQUENCE if len(shape) in {_ROWS, _STEPS} else ModelKind.TENSORS


def _kind_of_string(only: TensorInfo, signature: Signature, facts: GraphFacts) -> ModelKind:
    rank = None if only.shape is None else len(only.shape)
    if facts.decodes:
        fits = rank in {0, 1} and _is_row(signature, batched=True)
        return ModelKind.IMAGE if fits else ModelKind.TENSORS
    if facts.parses or not (rank == 0 or _is_column(only)):
        return ModelKind.TENSORS
    return ModelKind.TEXT


def _takes_pixels(only: TensorInfo, signature: Signature) -> bool:
    layout = pixel_layout(only.shape)
    if only.dtype not in _PIXELS or only.shape is None or layout is None:
        return False
    return _is_row(signature, batched=layout.batched)


def _is_row(signature: Signature, *, batched: bool) -> bool:
    """Whether the only output is one row of numbers for each image.

    An input of three dimensions is more often a batch of sequences: it is an image only where one vector
    comes out.
    """
    if len(signature.outputs) != 1 or signature.outputs[0].dtype not in _FLOATS:
        return False
    shape = signature.outputs[0].shape
    if not batched:
        return shape is not None and len(shape) == 1
    return shape is None or len(shape) == _ROWS


def _is_column(info: TensorInfo) -> bool:
    """Whether it has one value in each row: [rows] or [rows, 1]."""
    shape = info.shape
    if info.dtype not in _CELLS or not shape:
        return False
    return len(shape) == 1 or (len(shape) == _ROWS and shape[1] == 1)
