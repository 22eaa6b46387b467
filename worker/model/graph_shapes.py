"""Shapes of tensors in a GraphDef, as far as a few common operations tell them. No TensorFlow.

Only what is certain is told: a dimension of None may have any size, and a shape of None any rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tfleet.worker.model.dtypes import numpy_dtype
from tfleet.worker.model.signature import dtype_name

if TYPE_CHECKING:
    from tfleet.worker.model.graph_walk import GraphWalk, TensorPlace

Shape = tuple[int | None, ...] | None

# What gives a tensor of the shape that its first input has.
_SAME_SHAPE: Final = frozenset(
    (
        *(
            "Cast",
            "CheckNumerics",
            "Elu",
            "Identity",
            "LeakyRelu",
            "PreventGradient",
            "Relu",
            "Relu6",
            "Selu",
        ),
        *("Sigmoid", "Snapshot", "Softmax", "Softplus", "Softsign", "StopGradient", "Tanh"),
        *("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "ReadVariableOp"),
    )
)
_WITH_VECTOR: Final = frozenset({"Add", "AddV2", "BiasAdd", "Mul", "Sub"})
_REDUCES: Final = frozenset({"Max", "Mean", "Min", "Prod", "Sum"})
_POOLS: Final = frozenset({"AvgPool", "MaxPool"})
_STATED: Final = frozenset({"Placeholder", "VarHandleOp", "Variable", "VariableV2"})
_CHANNELS_FIRST: Final = b"NC"
_IMAGE_RANK: Final = 4
_MATRIX_RANK: Final = 2
_MOST_DIMS: Final = 32
_MOST_STEPS: Final = 200  # from a tensor back to what states a shape
# From a weight to its variable. Both inputs of all operations would be exponentially many ways back.
_WEIGHT_STEPS: Final = 4


def shape_of(walk: GraphWalk, place: TensorPlace, steps: int = _MOST_STEPS) -> Shape:
    """The shape of a tensor; None if it can't be told."""
    made = walk.made_by(place)
    if made is None or made.output > 0 or steps <= 0:
        return None
    node, inputs, steps = made.node, walk.inputs(made), steps - 1
    if node.op in _STATED:
        return _stated(node.attr["shape"].shape)
    if node.op == "Const":
        return _stated(node.attr["value"].tensor.tensor_shape)
    if not inputs:
        return None
    if node.op in _SAME_SHAPE:
        return shape_of(walk, inputs[0], steps)
    return _of_operation(walk, node, inputs, steps)


def constant_integers(walk: GraphWalk, place: TensorPlace) -> tuple[int, ...] | None:
    """A constant scalar or vector of a few whole numbers; None for anything else."""
    made = walk.made_by(place)
    if made is None or made.node.op != "Const":
        return None
    tensor = made.node.attr["value"].tensor
    dims = [dim.size for dim in tensor.tensor_shape.dim]
    dtype = numpy_dtype(dtype_name(tensor.dtype))
    if dtype is None or dtype.kind != "i" or len(dims) > 1 or not 0 <= sum(dims) <= _MOST_DIMS:
        return None
    size = dims[0] if dims else 1
    if tensor.tensor_content:
        if len(tensor.tensor_content) != size * dtype.itemsize:
            return None
        return tuple(map(int, np.frombuffer(tensor.tensor_content, dtype)))
    values = tuple(map(int, tensor.int_val or tensor.int64_val))
    return values * size if len(values) == 1 else values if len(values) == size else None


def reshaped(walk: GraphWalk, inputs: Any, steps: int = _MOST_STEPS) -> Shape:
    """What a Reshape with these inputs gives. A dimension that it computes is None."""
    if len(inputs) < 2:  # noqa: PLR2004 - the tensor and its new shape
        return None
    asked = walk.made_by(inputs[1])
    if asked is not None and asked.node.op == "Shape":
        return shape_of(walk, walk.inputs(asked)[0], steps - 1)
    sizes = constant_integers(walk, inputs[1])
    return None if sizes is None else tuple(None if size < 0 else size for size in sizes)


def squeezed_dims(node: Any, rank: int) -> frozenset[int] | None:
    """The dimensions that a Squeeze takes from a tensor of this rank; None if those are any of size 1."""
    dims = node.attr["squeeze_dims"].list.i
    return frozenset(dim % rank for dim in dims) if dims and rank > 0 else None


def _of_operation(walk: GraphWalk, node: Any, inputs: Any, steps: int) -> Shape:
    if node.op == "Reshape":
        return reshaped(walk, inputs, steps)
    first = shape_of(walk, inputs[0], steps)
    second = shape_of(walk, inputs[1], min(steps, _WEIGHT_STEPS)) if len(inputs) > 1 else None
    shape: Shape = None
    if node.op in _WITH_VECTOR:
        shape = _with_vector(node, first, second)
    elif node.op == "MatMul" and second is not None and len(second) == _MATRIX_RANK:
        shape = (None, second[0] if node.attr["transpose_b"].b else second[1])
    elif node.op == "Conv2D" and not _channels_first(node):
        shape = (None, None, None, None if second is None else second[-1])
    elif node.op in _POOLS and first is not None and not _channels_first(node):
        shape = (*first[:1], None, None, first[-1])
    elif node.op == "Squeeze" and first is not None:
        gone = squeezed_dims(node, len(first))
        shape = None if gone is None else tuple(size for dim, size in enumerate(first) if dim not in gone)
    elif node.op in _REDUCES and first:
        shape = _reduced(walk, node, inputs, first)
    return shape


def _with_vector(node: Any, first: Shape, second: Shape) -> Shape:
    """The sum or product of a tensor and a vector along its last dimension, or a scalar."""
    if _channels_first(node):
        return None
    for wide, narrow in ((first, second), (second, first)):
        if narrow is None or len(narrow) > 1:
            continue
        if wide is None:
            continue
        if not narrow:
            return wide
        if len(wide) >= 1:
            # A last dimension of size 1 would become as long as the vector.
            last = narrow[0] if wide[-1] in {None, 1} and narrow[0] != 1 else wide[-1]
            return (*wide[:-1], last)
    return None


def _reduced(walk: GraphWalk, node: Any, inputs: Any, shape: tuple[int | None, ...]) -> Shape:
    axes = constant_integers(walk, inputs[1]) if len(inputs) > 1 else None
    if axes is None or not all(-len(shape) <= axis < len(shape) for axis in axes):
        return None
    gone = {axis % len(shape) for axis in axes}
    if node.attr["keep_dims"].b:
        return tuple(1 if dim in gone else size for dim, size in enumerate(shape))
    return tuple(size for dim, size in enumerate(shape) if dim not in gone)


def _channels_first(node: Any) -> bool:
    return bool(node.attr["data_format"].s.startswith(_CHANNELS_FIRST))


def _stated(shape: Any) -> Shape:
    return None if shape.unknown_rank else tuple(None if dim.size < 0 else int(dim.size) for dim in shape.dim)
