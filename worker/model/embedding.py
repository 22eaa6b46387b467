"""The embedding of an image model: a tensor of its graph with a vector for each image.

A classifier computes such a vector just before its classes. Images that look alike have vectors near each
other, and new classes can be learned from the vectors alone. Only `embedding` in model.toml says which tensor
it is: nothing is guessed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tfleet.worker.model.digest import files_digest, model_files
from tfleet.worker.model.endpoints import describe, find_tensor, list_outputs
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.signature import shape_text

if TYPE_CHECKING:
    from tfleet.worker.model.signature import Signature
    from tfleet.worker.model.spec import ModelSpec
    from tfleet.worker.model.tensorflow import tf

MOST_NUMBERS: Final = 65_536
"""The longest vector. A longer one is a picture of features, and no place to learn from."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """The tensor of this name has a vector of `size` numbers for each image.

    `space` is the same for vectors that can be compared, see `vector_space`; it is empty until it is known in
    which precision the model runs.
    """

    tensor: str
    size: int
    space: str = ""


def find_embedding(spec: ModelSpec, graph: tf.Graph, own: Signature | None) -> Embedding | None:
    """The embedding that model.toml names; None if it names none.

    The name is that of a tensor in the graph or, in a SavedModel, of an output of its `own` signature. Raises
    `ModelError` for one that is not there, or that has no vector for each image.
    """
    name = spec.output.embedding
    if name is None:
        return None
    setting = spec.setting("output.embedding", "")
    available = list_outputs(graph, own)
    info = None if own is None else own.output(name)
    tensor = find_tensor(spec, graph, name if info is None else info.tensor, setting, available)
    shape = None if tensor.shape.rank is None else tuple(tensor.shape.as_list())
    if info is not None and info.shape is not None:
        shape = info.shape  # a call of a function in the graph may not know it
    size = _size(shape) if tensor.dtype.is_floating else None
    if size is None:
        found = describe(tensor) if info is None else f"{info.name} {info.dtype}{shape_text(shape)}"
        raise ModelError(
            f"{spec.origin}: {found} ({setting}) is not a vector for each image: name a tensor of floats "
            f"[?, size]; {available}"
        )
    if size > MOST_NUMBERS:
        raise ModelError(
            f"{spec.origin}: {name} ({setting}) has {size} numbers for an image, more than {MOST_NUMBERS}: "
            "name a tensor behind a pooling"
        )
    return Embedding(tensor.name, size)


def _size(shape: Sequence[int | None] | None) -> int | None:
    """How many numbers an image has; None for what is no vector.

    [?, 1, 1, 1280] is one as well: what a pooling gives that keeps all dimensions.
    """
    sizes = [size for size in (shape or ())[1:] if size is not None]
    if not sizes or shape is None or len(sizes) < len(shape) - 1 or math.prod(sizes) != max(sizes):
        return None
    return max(sizes) or None


def in_space(embedding: Embedding | None, spec: ModelSpec, precision: str) -> Embedding | None:
    """The embedding of a session with this precision. Raises `ModelError` as `vector_space` does."""
    return None if embedding is None else replace(embedding, space=vector_space(spec, precision))


def vector_space(spec: ModelSpec, precision: str) -> str:
    """64 hexadecimal digits that are the same for vectors that can be compared.

    They are a digest of the model's files, the name of the embedding, how images are prepared, and the
    precision that the model runs in. Raises `ModelError` if a file of the model cannot be read.
    """
    try:
        whole = files_digest(model_files(spec))
    except OSError as error:
        raise ModelError(f"{error.filename}: cannot be read: {error.strerror}") from error
    whole.update(repr((spec.input, spec.output.embedding, spec.serving.tags, precision)).encode())
    return whole.hexdigest()
