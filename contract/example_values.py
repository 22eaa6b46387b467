"""Made-up values for the inputs of a signature, which a command line or a document shows. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

MOST_SHOWN: Final = 64
"""Values of an example; more of them help nobody."""
_SOME: Final = 3  # the size of a dimension that may have any
_VALUES: Final = (("float", 0.5), ("bfloat", 0.5), ("complex", 0.5), ("bool", True), ("string", "some text"))


@dataclass(frozen=True, slots=True)
class ShownExample:
    """A made-up tf.Example: its features with their values, and the message in base64."""

    features: tuple[tuple[str, tuple[Any, ...]], ...]
    b64: str


class ShownTensor(Protocol):
    """An input, with what an example of it depends on."""

    @property
    def name(self) -> str:
        """Its name in the signature."""

    @property
    def dtype(self) -> str:
        """TensorFlow's name of its type."""

    @property
    def shape(self) -> tuple[int | None, ...] | None:
        """None for an unknown rank; a size of None is any."""

    @property
    def optional(self) -> bool:
        """Whether it may be left out."""

    @property
    def tf_example(self) -> ShownExample | None:
        """What it may hold if it is parsed as tf.Example; None for any other, and where that is not known."""


def takes_rows(inputs: Iterable[ShownTensor]) -> bool:
    """Whether one request may have several rows.

    It may if dimension 0 of every input that must be given has any size.
    """
    shapes = [info.shape for info in inputs if not info.optional]
    return bool(shapes) and all(shape is not None and len(shape) > 0 and shape[0] is None for shape in shapes)


def sent_dims(info: ShownTensor, *, rows: bool) -> tuple[int, ...]:
    """The shape of what is sent of an input, for one row or for all. A column's value is sent as that."""
    dims = full_dims(info)[1 if rows else 0 :]
    return () if rows and dims == (1,) else dims


def full_dims(info: ShownTensor) -> tuple[int, ...]:
    """A shape that the input may have. One of unknown rank gets a batch of one row."""
    return (1,) if info.shape is None else tuple(_SOME if size is None else size for size in info.shape)


def example_row(inputs: Sequence[ShownTensor], columns: Sequence[str] = ()) -> dict[str, Any]:
    """One row by the names of inputs or columns, or all inputs where the signature has no rows."""
    rows = takes_rows(inputs)
    given = [info for info in inputs if not info.optional]
    if columns and len(given) == 1:
        return dict.fromkeys(columns, sample(given[0].dtype))
    return {info.name: nested(value_of(info), sent_dims(info, rows=rows)) for info in given}


def shown_values(inputs: Sequence[ShownTensor]) -> int:
    """How many values an example of one row has. A size of 0 counts as 1: lists in it may be long."""
    rows = takes_rows(inputs)
    shapes = [sent_dims(info, rows=rows) for info in inputs if not info.optional]
    return sum(math.prod(max(size, 1) for size in shape) for shape in shapes)


def nested(value: Any, dims: Sequence[int]) -> Any:
    """Lists of this shape with the same value everywhere."""
    for size in reversed(dims):
        value = [value] * size
    return value


def value_of(info: ShownTensor) -> Any:
    """A value of an input, in JSON."""
    return sample(info.dtype) if info.tf_example is None else {"b64": info.tf_example.b64}


def sample(dtype: str) -> Any:
    """A value of a type."""
    return next((value for prefix, value in _VALUES if dtype.startswith(prefix)), 1)
