"""Lists of lists become a flat list and a shape. Each level is read at once, by functions written in C."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import numpy as np

from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.problems import bad_input, counted, place, shown

MAX_DEPTH: Final = 32
"""TensorFlow's own limit is 254 dimensions, NumPy's 64. Nobody needs as many."""


def depth_of(value: Any) -> int:
    """How many lists deep a value is, going by the first element of each; at most 33."""
    depth = 0
    while isinstance(value, list) and depth <= MAX_DEPTH:
        depth += 1
        if not value:
            break
        value = value[0]
    return depth


def flatten(
    rows: list[Any], dims: Sequence[int | None] | None, name: str, *, word: str = "input", one: bool = False
) -> tuple[list[Any], tuple[int, ...]]:
    """The values of rows in one flat list, and the shape of all.

    Each row is `len(dims)` lists deep; a dimension of None takes any size, the same in all rows. Raises
    ProblemError (400) where a list has another length, or something else stands where a list is wanted.
    With `one`, messages name no row: there is only one, or the signature has none.
    """
    flat: list[Any] = rows
    shape: tuple[int, ...] = (len(rows),)
    for size in dims or ():
        if set(map(type, flat)) - {list}:
            index = next(index for index, value in enumerate(flat) if type(value) is not list)
            raise _uneven(flat[index], index, shape, name, word, size, one)
        sizes = set(map(len, flat))
        wanted = size if size is not None else len(flat[0]) if flat else 0
        if sizes - {wanted}:
            index = next(index for index, value in enumerate(flat) if len(value) != wanted)
            raise _uneven(flat[index], index, shape, name, word, size, one, wanted)
        shape = (*shape, wanted)
        flat = list(chain.from_iterable(flat))
    return flat, shape


def position(index: int, shape: Sequence[int], name: str, *, word: str = "input", one: bool = False) -> str:
    """The place of a value in words, given its index in the flat list and the shape with the rows."""
    row, *inner = (int(part) for part in np.unravel_index(index, shape))
    return place(name, None if one else row, inner, word=word)


def _uneven(
    value: Any,
    index: int,
    shape: tuple[int, ...],
    name: str,
    word: str,
    size: int | None,
    one: bool,
    wanted: int | None = None,
) -> ProblemError:
    where = position(index, shape, name, word=word, one=one)
    if not isinstance(value, list):
        return bad_input(
            f"{where}: {shown(value)} stands where a list of "
            f"{'' if size is None else f'{size} '}values is wanted"
        )
    if size is not None:
        return bad_input(f"{where}: a list of {counted(len(value), 'value')} stands where {size} are wanted")
    return bad_input(
        f"{where}: a list of {counted(len(value), 'value')} stands beside one of {wanted}: rows of one "
        "body have "
        "the same shape, "
        "so send this one in another request"
    )
