"""What a signature's graph does at its ends: whether it decodes images, scales pixels, gives probabilities.

It reads a GraphDef and needs no TensorFlow for it. What can't be told for certain is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tfleet.worker.model.dtypes import numpy_dtype
from tfleet.worker.model.graph_activation import last_activation
from tfleet.worker.model.graph_walk import GraphWalk, TensorPlace
from tfleet.worker.model.signature import dtype_name

if TYPE_CHECKING:
    from tfleet.worker.model.signature import Signature


class PixelRange(StrEnum):
    """What a graph expects of its pixels, as its own first operations tell."""

    BYTES = "0 to 255"
    UNIT = "0 to 1"


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """Facts of a signature with one input or one output; nothing where it has more.

    `decodes`: the input is the bytes of an image. `parses`: it is a serialized tf.Example. `pixels`: the
    range of the pixels that it takes. `activation`: "softmax" or "sigmoid" if that makes the output's rows.
    """

    decodes: bool = False
    parses: bool = False
    pixels: PixelRange | None = None
    activation: str | None = None


# What leaves the numbers of a tensor as they are.
_SAME: Final = frozenset(
    {
        "CheckNumerics",
        "EnsureShape",
        "ExpandDims",
        "Identity",
        "PlaceholderWithDefault",
        "PreventGradient",
        "Reshape",
        "Snapshot",
        "Squeeze",
        "StopGradient",
        "Transpose",
    }
)
_NUMBERS_KEPT: Final = _SAME | {
    "Cast",
    "ResizeArea",
    "ResizeBicubic",
    "ResizeBilinear",
    "ResizeNearestNeighbor",
}
_ONLY_SHAPES: Final = frozenset({"Shape", "ShapeN", "Rank", "Size"})
_DECODES: Final = (
    "DecodeAndCropJpeg",
    "DecodeBmp",
    "DecodeGif",
    "DecodeImage",
    "DecodeJpeg",
    "DecodePng",
    "DecodeWebP",
)
_PARSES: Final = ("ParseExample", "ParseSingleExample", "ParseSequenceExample", "ParseSingleSequenceExample")
# The string is something else than an image from here on, or was no image before.
_NO_IMAGE: Final = ("DecodeBase64", "LookupTable", "ReadFile", "Regex", "String", *_PARSES)
_MOST_STEPS: Final = 100_000  # of a walk through a graph
_MOST_CONSTANTS: Final = 16  # numbers of one scale: a few channels have one each
_LARGEST_MEAN: Final = 1.5  # of pixels from 0 to 1
_VARIANCE_TOLERANCE: Final = 1e-3  # constants are rounded
_BYTE_SCALE: Final = 1 / 20  # 1/255 and 1/127.5 are far below it


def graph_facts(definition: Any, signature: Signature) -> GraphFacts:
    """The facts of a signature, from its GraphDef, whose functions do not call themselves.

    Raises BadGraphError if they call each other too often.
    """
    walk = GraphWalk(definition)
    required = [info for info in signature.inputs if not info.optional]
    decodes, parses, pixels, activation = False, False, None, None
    if len(required) == 1 and required[0].tensor:
        start = walk.start(required[0].tensor)
        if required[0].dtype == "string":
            parses = _reaches(walk, start, _PARSES, ())
            decodes = not parses and _reaches(walk, start, _DECODES, _NO_IMAGE)
        else:
            pixels = _pixels_behind(walk, start)
    if len(signature.outputs) == 1 and signature.outputs[0].tensor:
        activation = last_activation(walk, walk.start(signature.outputs[0].tensor))
    return GraphFacts(decodes, parses, pixels, activation)


def _reaches(walk: GraphWalk, start: TensorPlace, wanted: tuple[str, ...], blocked: tuple[str, ...]) -> bool:
    """Whether what is made of a tensor gets to a wanted operation, and not first to a blocked one."""
    pending, seen = [start], set()
    for _ in range(_MOST_STEPS):
        if not pending:
            break
        for place, _position in walk.uses(pending.pop()):
            key = (place.body.call.name if place.body.call is not None else "", place.tensor)
            operation = place.node.op
            if operation.startswith(wanted):
                return True
            if key not in seen and not operation.startswith(blocked):
                seen.add(key)
                pending.append(place)
    return False


def _pixels_behind(walk: GraphWalk, place: TensorPlace) -> PixelRange | None:
    """What the arithmetic right behind the input says of its range.

    A subtracted mean above 1 is one of bytes. A smaller one is of numbers from 0 to 1 if the standard
    deviation is one that such numbers can have. Without a mean, a factor far below 1 is one of bytes.
    Anything else is in doubt.
    """
    scale: npt.NDArray[Any] = np.ones(1)
    offset: npt.NDArray[Any] = np.zeros(1)
    for _ in range(_MOST_STEPS):
        uses = list(islice((use for use in walk.uses(place) if use[0].node.op not in _ONLY_SHAPES), 2))
        if len(uses) != 1:
            break
        place, position = uses[0]
        if place.node.op in _NUMBERS_KEPT:
            continue
        step = _arithmetic(walk, place, position, scale, offset)
        if step is None:
            break
        scale, offset = step
    return pixel_range(scale, offset)


def _arithmetic(
    walk: GraphWalk, place: TensorPlace, position: int, scale: npt.NDArray[Any], offset: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]] | None:
    """Scale and offset after one more operation with a constant; None if it is no such operation."""
    inputs = walk.inputs(place)
    constant = _constant(walk, inputs[1 - position]) if len(inputs) == 2 else None  # noqa: PLR2004 - a pair
    if constant is None:
        return None
    operation, step = place.node.op, None
    if operation == "Mul":
        step = scale * constant, offset * constant
    elif operation in {"Add", "AddV2", "BiasAdd"}:
        step = scale, offset + constant
    elif position == 0 and operation == "Sub":
        step = scale, offset - constant
    elif position == 0 and operation in {"Div", "RealDiv"} and constant.all():
        step = scale / constant, offset / constant
    return step


def pixel_range(scale: npt.NDArray[Any], offset: npt.NDArray[Any]) -> PixelRange | None:
    """What it says of pixels that they are multiplied by `scale`, and then `offset` is added."""
    if not scale.all() or not np.isfinite(scale).all():
        return None
    mean = -(offset / scale)
    if not mean.any():
        if (scale == 1).all() or (scale < 0).any():
            return None
        if (scale <= _BYTE_SCALE).all():
            return PixelRange.BYTES
        return PixelRange.UNIT if (scale >= 1 / _BYTE_SCALE).all() else None
    if (mean > _LARGEST_MEAN).all():
        return PixelRange.BYTES
    # Numbers from 0 to 1 with this mean vary at most so much. More of it, or no deviation, is other data: the
    # mean of a spectrogram, or of pixels from -1 to 1, is between 0 and 1, too.
    most = mean * (1 - mean)
    unit = (mean > 0) & (mean < 1) & (scale > 0) & (1 / scale**2 <= most + _VARIANCE_TOLERANCE)
    return PixelRange.UNIT if unit.all() else None


def _constant(walk: GraphWalk, place: TensorPlace) -> npt.NDArray[Any] | None:
    """A small constant as numbers in one dimension; None for anything else."""
    for _ in range(_MOST_STEPS):
        made = walk.made_by(place)
        if made is None:
            return None
        if made.node.op == "Const":
            return _values(made.node.attr["value"].tensor)
        if made.node.op not in _NUMBERS_KEPT or not made.node.input:
            return None
        place = walk.inputs(made)[0]
    return None


def _values(tensor: Any) -> npt.NDArray[Any] | None:
    dtype = numpy_dtype(dtype_name(tensor.dtype))
    size = int(np.prod([dim.size for dim in tensor.tensor_shape.dim], dtype=np.int64))
    if dtype is None or dtype.kind not in "fiuV" or not 0 < size <= _MOST_CONSTANTS:
        return None
    if tensor.tensor_content:
        if len(tensor.tensor_content) != size * dtype.itemsize:
            return None
        return np.frombuffer(tensor.tensor_content, dtype).astype(np.float64)
    given = next(
        (v for v in (tensor.float_val, tensor.double_val, tensor.int_val, tensor.int64_val) if v), None
    )
    if given is None:
        if not tensor.half_val:
            return None
        given = np.array(tensor.half_val, np.uint16).view(dtype)
    return np.asarray(given, np.float64)
