"""Which rows run together: so many at most, and no more bytes than allowed. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from tfleet.worker.model.dtypes import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tfleet.worker.model.signature import TensorInfo

Sizes = npt.NDArray[np.int64]


def batch_ends(sizes: Sizes, *, most_rows: int, most_bytes: int) -> Iterator[tuple[int, int]]:
    """Begin and end of each batch of rows that have these sizes in bytes.

    A batch has at most so many rows and bytes, and at least one row.
    """
    behind = np.cumsum(sizes)
    begin, before = 0, 0
    while begin < len(sizes):
        fitting = int(np.searchsorted(behind, before + most_bytes, side="right"))
        end = min(max(fitting, begin + 1), begin + most_rows)
        yield begin, end
        begin, before = end, int(behind[end - 1])


def row_sizes(batch: pa.RecordBatch, more: int = 0) -> Sizes:
    """The bytes that each row takes in Arrow, without its nulls' bits, and `more` for each."""
    total = np.full(batch.num_rows, more, np.int64)
    for column in batch.columns:
        total += _value_sizes(column)
    return total


def tensor_bytes(infos: Iterable[TensorInfo]) -> int:
    """The bytes that a row takes in these tensors. A dimension of any size counts as 1; strings do not
    count.
    """
    total = 0
    for info in infos:
        dtype = numpy_dtype(info.dtype)
        item_bytes = 0 if dtype is None or dtype.kind == "O" else dtype.itemsize
        total += math.prod(size or 1 for size in (info.shape or ())[1:]) * item_bytes
    return total


def _value_sizes(column: pa.Array) -> Any:
    """The bytes of each value of a column, or of all of them where they are equal."""
    kind = column.type
    if isinstance(column, pa.ExtensionArray):
        return _value_sizes(column.storage)
    if _is_bytes(kind):
        return np.nan_to_num(pc.binary_length(column).to_numpy(zero_copy_only=False)).astype(np.int64)
    if types.is_fixed_size_list(kind):
        inner = _value_sizes(
            column.values.slice(column.offset * kind.list_size, len(column) * kind.list_size)
        )
        return (
            inner * kind.list_size if np.ndim(inner) == 0 else inner.reshape(-1, kind.list_size).sum(axis=1)
        )
    if types.is_list(kind) or types.is_large_list(kind):
        return _list_sizes(column)
    if types.is_primitive(kind) or types.is_fixed_size_binary(kind):
        return math.ceil(kind.bit_width / 8)
    return math.ceil(column.nbytes / max(len(column), 1))  # structs, maps and unions: their mean


def _list_sizes(column: pa.Array) -> Any:
    offsets = column.offsets.to_numpy()
    inner = _value_sizes(column.values)
    if np.ndim(inner) == 0:
        return np.diff(offsets) * inner
    behind = np.concatenate([[0], np.cumsum(inner)])
    return np.diff(behind[offsets])


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )
