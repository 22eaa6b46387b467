"""Make inputs that fit a signature, to warm a model up and to see whether it answers batches rightly.

No TensorFlow. The values are drawn from a fixed seed. Whole numbers are 0 or 1, which every embedding has.
Rows are different wherever that is possible: equal ones would hide a model that mixes its rows up. A model
may do so with large or negative numbers only: `spread_rows` has those.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

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
# What the numbers of three rows are multiplied by. Large rows must not change the answer to the small one.
_FAR: Final = (1.0, 1e3, 1e3)
_NEAR: Final = (1.0, 1.0, 1.0)
_LARGE_WHOLE: Final = 1_500

SpreadRows: TypeAlias = tuple[str, Sequence[Mapping[str, npt.NDArray[Any]]]]
"""Three rows, and what is special about their numbers, in words."""


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


def spread_rows(row: Mapping[str, npt.NDArray[Any]]) -> Iterator[Sequence[SpreadRows]]:
    """Rows of larger numbers and of both signs, with the shapes of one row that fits: for floats, and then
    for whole numbers. The first ones of each sequence that the model can compute are enough.

    Whole numbers are not negative: they may be lengths, or places in a table.
    """
    kinds = {array.dtype.kind for array in row.values()}
    if not kinds.isdisjoint("fcV"):
        yield (
            ("floats around 1000 and -1000", _spread(row, "fcV", _FAR)),
            ("floats around 1 and -1", _spread(row, "fcV", _NEAR)),
        )
    if not kinds.isdisjoint("iu"):
        yield (("whole numbers around 1000", _spread(row, "iu", _NEAR)),)


def _spread(
    row: Mapping[str, npt.NDArray[Any]], kinds: str, scales: Sequence[float]
) -> Sequence[Mapping[str, npt.NDArray[Any]]]:
    rng = np.random.default_rng(0)
    return [
        {
            name: _spread_array(array, number, scale, rng) if array.dtype.kind in kinds else array
            for name, array in row.items()
        }
        for number, scale in enumerate(scales)
    ]


def _spread_array(
    array: npt.NDArray[Any], number: int, scale: float, rng: np.random.Generator
) -> npt.NDArray[Any]:
    if array.dtype.kind in "iu":
        most = min(_LARGE_WHOLE, np.iinfo(array.dtype).max)
        return rng.integers(most // 3, most, array.shape, endpoint=True).astype(array.dtype)
    # Each number has both signs among the rows: a maximum or minimum over rows is far from 0 then.
    signs = 1 - 2 * ((np.arange(array.size).reshape(array.shape) + number) % 2)
    with np.errstate(over="ignore"):  # a small type has no such numbers: the outputs are not finite then
        return (signs * scale * rng.uniform(0.5, 1.5, array.shape)).astype(array.dtype)


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
