"""Lists of JSON as Arrow columns, for inputs of the model that have dimensions beside that of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa

from tfleet.bulk.sources.csv_cells import cell_type
from tfleet.worker.api.protocols.dtypes import from_scalars
from tfleet.worker.api.protocols.native.layout import Cell
from tfleet.worker.api.protocols.problems import CellError, place

_ROWS_AT_ONCE: Final = 256


def list_type(cell: Cell) -> pa.DataType:
    """The type of the column: a list in a list for each dimension."""
    kind = cell_type(cell.info)
    for _ in cell.dims:
        kind = pa.list_(kind)
    return kind


def lists_column(name: str, cell: Cell, values: Sequence[Any], errors: dict[int, str]) -> pa.Array:
    """The values, which are lists or None, by the rules of a JSON body. A row that is wrong gets an error."""
    kind = list_type(cell)
    found = [pa.array([], kind)]
    for first in range(0, len(values), _ROWS_AT_ONCE):
        some = values[first : first + _ROWS_AT_ONCE]
        try:
            found.append(_nested(some, cell, kind))
        except CellError:
            for index, value in enumerate(some, first):
                try:
                    found.append(_nested([value], cell, kind))
                except CellError as error:
                    errors.setdefault(index, f"{place(name, word='column')}: {error}")
                    found.append(pa.nulls(1, kind))
    return pa.concat_arrays(found)


def _nested(values: Sequence[Any], cell: Cell, kind: pa.DataType) -> pa.Array:
    """Raises CellError for what is no list, and for the first value that does not fit."""
    missing = np.array([value is None for value in values], np.bool_)
    current: list[Any] = [[] if value is None else value for value in values]
    offsets = []
    for _ in cell.dims:
        wrong = next((index for index, each in enumerate(current) if type(each) is not list), None)
        if wrong is not None:
            raise CellError(wrong, f"is no {kind}")
        offsets.append(np.cumsum([0, *map(len, current)], dtype=np.int32))
        current = list(chain.from_iterable(current))
    numbers = from_scalars(current, cell.info)
    leaf = cell_type(cell.info)
    if numbers.dtype.kind == "O":
        found = pa.array(numbers.tolist(), leaf)
    else:
        found = pa.array(
            numbers if numbers.dtype.kind in "biu" else numbers.astype(leaf.to_pandas_dtype()), leaf
        )
    for level, each in reversed(list(enumerate(offsets))):
        found = pa.ListArray.from_arrays(pa.array(each), found, mask=None if level else pa.array(missing))
    return found
