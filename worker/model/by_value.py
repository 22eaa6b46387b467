"""Whether a signature computes its values one by one, so that it takes tensors of any shape. No TensorFlow.

TensorFlow does not hold a graph to the shapes that its signature states, and TensorFlow Serving's clients
send a vector to an input of shape [?, 1]. But some kernels abort the process for a tensor of another rank, as
those of convolutions do. So only operations that look at each value by itself may get other shapes than those
stated. Constants and variables among them have one value: one of another shape could make a result of
terabytes from a small input.
"""

from __future__ import annotations

from typing import Any, Final

from tfleet.worker.model.function_calls import BadGraphError
from tfleet.worker.model.graph_walk import GraphWalk, TensorPlace
from tfleet.worker.model.signature import Signature
from tfleet.worker.model.state import node_name

_VARIABLES: Final = frozenset({"VarHandleOp", "Variable", "VariableV2"})
_OPERATIONS: Final = """
    Abs Acos Acosh Add AddV2 AsString Asin Asinh Atan Atan2 Atanh Cast Ceil Cos Cosh Div DivNoNan Elu
    Equal Erf Erfc Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual Identity IsFinite IsInf IsNan
    LeakyRelu Less LessEqual Log Log1p LogicalAnd LogicalNot LogicalOr Maximum Minimum Mul Neg NoOp
    NotEqual PlaceholderWithDefault Pow ReadVariableOp RealDiv Reciprocal Relu Relu6 Rint Round Rsqrt
    Selu Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Square SquaredDifference StringJoin Sub Tan Tanh
"""
_BY_VALUE: Final = frozenset(_OPERATIONS.split())


def computes_by_value(definition: Any, signature: Signature) -> bool:
    """Whether all that a GraphDef has between inputs and outputs works on each value by itself."""
    if not all(info.tensor for info in (*signature.inputs, *signature.outputs)):
        return False  # a sparse or composite one
    try:
        return _all_by_value(GraphWalk(definition), signature)
    except BadGraphError:
        return False


def _all_by_value(walk: GraphWalk, signature: Signature) -> bool:
    fed = {_key(walk.start(info.tensor)) for info in signature.inputs}
    pending = [walk.start(info.tensor) for info in signature.outputs]
    seen = set()
    while pending:
        place = pending.pop()
        if _key(place) in fed or _key(place) in seen:
            continue
        seen.add(_key(place))
        made = walk.made_by(place)
        if made is None:
            return False
        if _key(made) in fed:
            continue
        if made.node.op not in _BY_VALUE and not _is_one_value(made.node):
            return False
        if made.node.op in _BY_VALUE:
            pending += walk.inputs(made)
        # What has to run before it is run with the same inputs.
        before = [name[1:] for name in made.node.input if name.startswith("^")]
        pending += [TensorPlace(made.body, name) for name in before]
    return True


def _is_one_value(node: Any) -> bool:
    """Whether the node is a constant or variable of one value."""
    if node.op == "Const":
        shape = node.attr["value"].tensor.tensor_shape
    elif node.op in _VARIABLES:
        shape = node.attr["shape"].shape
    else:
        return False
    return not shape.unknown_rank and all(dim.size == 1 for dim in shape.dim)


def _key(place: TensorPlace) -> tuple[object, str, int]:
    return place.body, node_name(place.tensor), place.output
