"""Make inputs that fit a signature, to warm a model up and to see whether it answers batches rightly.

No TensorFlow. The values are drawn from a fixed seed. Whole numbers are 0 or 1, which every embedding has.
Rows are different wherever that is possible: equal ones would hide a model that mixes its rows up.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from tfleet.worker.model.dtypes import numpy_dtype

if TYPE_CHECKING:
    from tfleet.worker.model.graph_facts import GraphFacts
    from tfleet.worker.model.signature import Signature, TensorInfo

# Sizes to try for the dimensions that a signature leaves open, until the model takes one: a convolution needs
# more than one step, and a sound needs some thousands of samples.
_OPEN_SIZES: Final = (8, 1, 32, 64, 128, 224, 512, 16_000)
_MOST_BYTES: Final = 256 << 20  # of one input
_WORDS: Final = (b"good", b"bad", b"the cat sat on the mat")
_IMAGE_SIDE: Final = 64
_SQUARES: Final = 4  # on each side of a picture


def example_inputs(
    signature: Signature, rows: int, graph: GraphFacts | None = None
) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Inputs of so many rows, once for each size that its open dimensions may have.

    Nothing comes for a signature with an input of a type that no request can carry.
    """
    required = [info for info in signature.inputs if not info.optional]
    opens = any(size is None for info in required for size in (info.shape or ())[1:])
    for size in _OPEN_SIZES if opens else _OPEN_SIZES[:1]:
        rng = np.random.default_rng(0)
        inputs = {info.name: _array(info, rows, size, graph, rng) for info in required}
        known = {name: array for name, array in inputs.items() if array is not None}
        if len(known) == len(inputs) and all(info.tensor for info in required):
            yield known


def _array(
    info: TensorInfo, rows: int, size: int, graph: GraphFacts | None, rng: np.random.Generator
) -> npt.NDArray[Any] | None:
    dtype = numpy_dtype(info.dtype)
    stated = (None,) if info.shape is None else info.shape
    shape = tuple(
        (rows if position == 0 else size) if each is None else each for position, each in enumerate(stated)
    )
    if dtype is None or np.prod(shape, dtype=float) * dtype.itemsize > _MOST_BYTES:
        return None
    if dtype.kind == "O":
        return _strings(shape, graph)
    if dtype.kind in "iub":
        whole = rng.integers(0, 2, shape)
        if whole.size and shape:
            first = whole.reshape(shape[0], -1)[:, 0]
            first[:] = np.arange(shape[0]) % 2  # a row of one number would often be like the next one
        return whole.astype(dtype)
    return rng.random(shape, np.float32).astype(dtype)


def _strings(shape: tuple[int, ...], graph: GraphFacts | None) -> npt.NDArray[Any]:
    array = np.empty(shape, object)
    for number, position in enumerate(np.ndindex(*shape)):
        if graph is not None and graph.decodes:
            array[position] = _jpeg(number)
        elif graph is not None and graph.parses:
            array[position] = b""  # a tf.Example without features, of which there is only this one
        else:
            array[position] = _WORDS[sum(position) % len(_WORDS)]
    return array


def _jpeg(number: int) -> bytes:
    """A picture of coloured squares, another one for each number."""
    colours = np.random.default_rng(number).integers(0, 256, (_SQUARES, _SQUARES, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).resize((_IMAGE_SIDE, _IMAGE_SIDE), Image.Resampling.NEAREST).save(file, "JPEG")
    return file.getvalue()
