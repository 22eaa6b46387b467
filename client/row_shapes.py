"""Which rows go into one request: a worker takes rows whose values have one shape.

Rows of text, steps or pixels may have lists of different lengths. They are sent in several requests, so that
none is rejected because of the others.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any


def same_shapes(shapes: Iterable[Hashable], *, keep_order: bool) -> list[list[int]]:
    """The indices of the rows of each request, given the shape of every row.

    With `keep_order` the rows of a request follow each other, and so do the requests: a new one begins where
    the shape changes. Otherwise all rows of one shape go together.
    """
    groups: list[list[int]] = []
    by_shape: dict[Hashable, list[int]] = {}
    for index, shape in enumerate(shapes):
        if shape not in by_shape:
            if keep_order:
                by_shape.clear()
            by_shape[shape] = []
            groups.append(by_shape[shape])
        by_shape[shape].append(index)
    return groups


def row_shape(row: Any) -> Hashable:
    """The shapes of a row's values. Single values have none, so a column that is missing changes nothing."""
    if isinstance(row, Mapping):
        return frozenset((name, shape) for name, value in row.items() if (shape := _shape(value)))
    if isinstance(row, list | tuple):
        inner = tuple((index, shape) for index, value in enumerate(row) if (shape := _shape(value)))
        return (len(row), inner)
    return _shape(row)


def _shape(value: Any) -> tuple[int, ...]:
    """The dimensions of nested lists, by the first of each: a worker rejects a value whose others differ."""
    found: list[int] = []
    while isinstance(value, list | tuple):
        found.append(len(value))
        value = value[0] if value else None
    return (*found, *getattr(value, "shape", ()))


def table_shapes(table: Any) -> list[Hashable] | None:
    """The shapes of the lists in each row of a pyarrow table; None if it has no lists."""
    import pyarrow as pa  # noqa: PLC0415 - only where Arrow is used

    lists = [column for column in table.columns if _is_list(pa, column.type)]
    if not lists:
        return None
    lengths = [each for column in lists for each in _lengths(pa, pa.concat_arrays(column.chunks))]
    return list(zip(*lengths, strict=True))


def _lengths(pa: Any, values: Any) -> list[Sequence[int | None]]:
    """The lengths of lists, and those of the first list in each of them, and so on."""
    import pyarrow.compute as pc  # noqa: PLC0415 - as above

    found = []
    while _is_list(pa, values.type):
        lengths = pc.list_value_length(values)
        found.append(lengths.to_pylist())
        starts = values.offsets.slice(0, len(values))
        first = pc.if_else(pc.greater(lengths, 0), starts, pa.scalar(None, starts.type))
        values = values.values.take(first)
    return found


def _is_list(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))
