"""Whether a graph ends in a softmax or a sigmoid, seen through what only moves numbers. No TensorFlow.

A softmax is of the last dimension of its tensor. Behind it, a Reshape or Transpose can move that dimension
away from where the output has its classes. Then the rows of the output are no probabilities, and nothing is
told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tfleet.worker.model.graph_shapes import constant_integers, reshaped, shape_of, squeezed_dims
from tfleet.worker.model.signature import dtype_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfleet.worker.model.graph_walk import GraphWalk, TensorPlace

_ACTIVATIONS: Final = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
# What leaves the numbers of a tensor as they are, and where they are.
_SAME: Final = frozenset(
    {"CheckNumerics", "EnsureShape", "Identity", "PreventGradient", "Snapshot", "StopGradient"}
)
_MOVES: Final = frozenset({"ExpandDims", "Reshape", "Squeeze", "Transpose"})
_LAST: Final = -1
_MOST_STEPS: Final = 100_000


def last_activation(walk: GraphWalk, place: TensorPlace) -> str | None:
    """ "softmax" if that is over the last dimension of the tensor, "sigmoid", or None if it can't be told."""
    axis: int | None = (
        _LAST  # where the tensor's last dimension is, from the end; None if it is nowhere whole
    )
    for _ in range(_MOST_STEPS):
        made = walk.made_by(place)
        if made is None:
            return None
        operation, inputs = made.node.op, walk.inputs(made)
        if operation in _ACTIVATIONS:
            return None if operation == "Softmax" and axis != _LAST else _ACTIVATIONS[operation]
        if operation == "IdentityN" and made.output < len(inputs):
            place = inputs[made.output]
            continue
        if not inputs or not (operation in _SAME or operation in _MOVES or _is_float_cast(made.node)):
            return None
        if operation in _MOVES and axis is not None:
            axis = _axis_before(walk, made.node, inputs, axis)
        place = inputs[0]
    return None


def _is_float_cast(node: Any) -> bool:
    """Whether it is a Cast that keeps fractions."""
    return node.op == "Cast" and dtype_name(node.attr["DstT"].type).startswith(("float", "bfloat"))


def _axis_before(walk: GraphWalk, node: Any, inputs: Sequence[TensorPlace], axis: int) -> int | None:
    """Where the dimension `axis` of the operation's result is in its input; both count from the end."""
    found: int | None = None
    if node.op == "Transpose":
        order = constant_integers(walk, inputs[1])
        if order is not None and len(order) >= -axis:
            found = order[axis] % len(order) - len(order)
    elif axis != _LAST:
        found = None  # too rare to be followed
    elif node.op == "ExpandDims":
        dim = constant_integers(walk, inputs[1])
        before = shape_of(walk, inputs[0])
        # A new dimension at the end takes the place of the last one.
        if dim is not None and (dim[0] < _LAST or (before is not None and 0 <= dim[0] < len(before))):
            found = _LAST
    elif node.op == "Squeeze":
        before = shape_of(walk, inputs[0])
        gone = None if before is None else squeezed_dims(node, len(before))
        if before is not None and gone is not None and len(before) - 1 not in gone:
            found = _LAST
    else:
        before, after = shape_of(walk, inputs[0]), reshaped(walk, inputs)
        # Numbers stay in their order: a last dimension of the same size is the same one.
        if before and after and before[-1] is not None and before[-1] == after[-1]:
            found = _LAST
    return found
