"""What an input that takes serialized tf.Example has to hold, from the operation that parses it.

No TensorFlow. Only features that have to be there, or have a default, are found: the others may be empty.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from tfleet.contract.example_values import ShownExample, sample
from tfleet.worker.model.example_proto import example_bytes
from tfleet.worker.model.function_calls import BadGraphError
from tfleet.worker.model.graph_walk import GraphWalk, TensorPlace
from tfleet.worker.model.signature import Signature, TensorInfo, dtype_name

MOST_VALUES: Final = 256
"""An example with more values is not made: it would help nobody."""
_MOST_CHARS: Final = 8192
_FIRST: Final = "ParseExample"
_SECOND: Final = "ParseExampleV2"
_SAME: Final = frozenset({"Identity", "Reshape"})
_TYPES: Final = frozenset({"float32", "int64", "string"})


def with_examples(definition: Any, signature: Signature) -> Signature:
    """The signature; those of its inputs that are parsed as tf.Example have a made-up one."""
    inputs = tuple(replace(info, tf_example=_made_up(definition, info)) for info in signature.inputs)
    return replace(signature, inputs=inputs)


def _made_up(definition: Any, info: TensorInfo) -> ShownExample | None:
    if info.dtype != "string" or not info.tensor:
        return None
    walk = GraphWalk(definition)
    try:
        parser = _parser(walk, walk.start(info.tensor))
        features = None if parser is None else _features(walk, parser)
    except (BadGraphError, UnicodeDecodeError):
        return None
    if features is None:
        return None
    values = {
        name: [each.encode() if isinstance(each, str) else each for each in found]
        for name, found in features.items()
    }
    text = base64.b64encode(example_bytes(values)).decode()
    return ShownExample(tuple(features.items()), text) if len(text) <= _MOST_CHARS else None


def _parser(walk: GraphWalk, tensor: TensorPlace) -> TensorPlace | None:
    """The operation that parses the tensor; None if there is none."""
    pending, seen = [tensor], set()
    while pending:
        for place, position in walk.uses(pending.pop()):
            if position != 0 or (key := (place.body, place.tensor)) in seen:
                continue
            seen.add(key)
            if place.node.op in {_FIRST, _SECOND}:
                return place
            if place.node.op in _SAME:
                pending.append(place)
    return None


def _features(walk: GraphWalk, parser: TensorPlace) -> dict[str, tuple[Any, ...]] | None:
    """A made-up value of each feature of a stated size; None where they can't be read, or are too many."""
    attributes = parser.node.attr
    types = [dtype_name(number) for number in attributes["Tdense"].list.type]
    shapes = [[max(dim.size, 1) for dim in shape.dim] for shape in attributes["dense_shapes"].list.shape]
    names = _names(walk, parser)
    if len(names) != len(types) or len(names) != len(shapes) or not _TYPES.issuperset(types):
        return None
    if sum(map(math.prod, shapes)) > MOST_VALUES:
        return None
    return {
        name: (sample(dtype),) * math.prod(shape)
        for name, dtype, shape in zip(names, types, shapes, strict=True)
    }


def _names(walk: GraphWalk, parser: TensorPlace) -> Sequence[str]:
    """The names of the features. The first form of the operation has an input for each, the second a list."""
    inputs = walk.inputs(parser)
    if parser.node.op == _SECOND:
        places = inputs[3:4]
    else:
        before = 2 + int(parser.node.attr["Nsparse"].i)
        places = inputs[before : before + int(parser.node.attr["Ndense"].i)]
    constants = [made.node for place in places if (made := walk.made_by(place)) is not None]
    return [
        name.decode()
        for node in constants
        if node.op == "Const"
        for name in node.attr["value"].tensor.string_val
    ]
