"""Arrow streams (`application/vnd.apache.arrow.stream`): many rows in one body.

The columns are found by name. Numbers are converted as in dtypes.py, and not copied where the dtype fits. A
value with dimensions is a list of lists, of fixed size or not, or a fixed-shape tensor. Dictionary-encoded
columns are decoded. A null is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from tfleet.worker.api.protocols.decoded import Array, DecodedInputs
from tfleet.worker.api.protocols.dtypes import bytes_array, from_array, numpy_dtype, unfit
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.native.arrow_metadata import check_stream
from tfleet.worker.api.protocols.native.arrow_validity import check_column, reason
from tfleet.worker.api.protocols.native.layout import Cell, RowLayout
from tfleet.worker.api.protocols.nested import position
from tfleet.worker.api.protocols.problems import CellError, bad_input, place, quoted, too_large
from tfleet.worker.model.signature import TensorInfo, shape_text

_OPTIONS: Final = pa.ipc.IpcReadOptions(use_threads=False)
_PANDAS_INDEX: Final = "__index_level_0__"
_ARROW: Final = "the Arrow schema"
_NULL: Final = "null is no value: fill it in, or leave the row out"
_MOST_REASON: Final = 150
_VIEW_INTS: Final = 4  # a string view has 16 bytes, and its length in the first four


def decode_arrow(body: bytes, layout: RowLayout, limits: InputLimits) -> DecodedInputs:
    """The inputs in an Arrow stream. Raises ProblemError (400, 413)."""
    if not layout.has_rows:
        raise bad_input(f"an Arrow stream has rows, and {layout.no_rows}")
    rows = check_stream(body, len(layout.columns or layout.cells), limits)
    if not rows:
        raise bad_input("the Arrow stream has no rows: send at least one")
    with _reported(), pa.ipc.open_stream(pa.py_buffer(body), options=_OPTIONS) as reader:
        names = list(reader.schema.names)
        if _PANDAS_INDEX in names:
            raise bad_input(
                f"the Arrow schema has {_PANDAS_INDEX!r}: leave the index out (preserve_index=False)"
            )
        by_column = layout.by_column(names, _ARROW)
        check_types(reader.schema, layout, by_column=by_column)
        batches = [batch for batch in reader if batch.num_rows]
        limits.check_together(sum(map(_dictionary_bytes, chain.from_iterable(batches))))
        rows = 0
        for batch in batches:
            for name, column in zip(names, batch.columns, strict=True):
                check_column(column, name, rows)
            rows += batch.num_rows
        limits.check_rows(rows)
        return DecodedInputs(decode_batches(batches, layout, limits, by_column=by_column), rows)


def check_types(schema: pa.Schema, layout: RowLayout, *, by_column: bool) -> None:
    """Raise ProblemError (400) for a column of a type that its input does not take."""
    for field in schema:
        info = layout.column_info(field.name) if by_column else layout.cells[field.name].info
        _check_type(field.name, field.type, info)


def decode_batches(
    batches: Sequence[pa.RecordBatch], layout: RowLayout, limits: InputLimits, *, by_column: bool
) -> dict[str, Array]:
    """The inputs in batches whose columns have been checked. Raises ProblemError (400, 413)."""
    names = batches[0].schema.names
    reading = _Reading(batches, limits)
    if by_column:
        plain = {name: reading.column(Cell(layout.column_info(name), ()), name) for name in names}
        return layout.assemble(plain)
    return {name: reading.column(layout.cells[name], name) for name in names}


class _Reading:
    """Reads columns from all batches of a stream, and counts what they take together."""

    def __init__(self, batches: Sequence[pa.RecordBatch], limits: InputLimits) -> None:
        self._batches = batches
        self._limits = limits
        self._bytes_so_far = 0
        self._strings_so_far = 0

    def column(self, cell: Cell, name: str) -> Array:
        """A column of all batches, as a tensor with rows."""
        before = 0
        found: list[Array] = []
        for batch in self._batches:
            found.append(self._tensor(batch.column(name), cell, name, before))
            before += batch.num_rows
            if found[-1].shape[1:] != found[0].shape[1:]:
                raise bad_input(
                    f"{place(name, before - batch.num_rows)}: a value of shape "
                    f"{shape_text(found[-1].shape[1:])} "
                    f"stands beside one of {shape_text(found[0].shape[1:])}: rows of one body have the "
                    "same shape"
                )
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _tensor(self, array: pa.Array, cell: Cell, name: str, before: int) -> Array:
        """One batch's part of a column. `before` is how many rows came before it."""
        rows = len(array)
        dims = () if cell.plain and not _is_list(array.type) else cell.dims
        leaf, inner = _unnested(array, dims, name, cell, before)
        shape = (rows, *inner)
        item_bytes = numpy_dtype(cell.info).itemsize
        self._limits.check_tensor(shape, item_bytes)
        self._count_bytes(math.prod(shape) * item_bytes)
        try:
            values = self._values(leaf, cell.info)
        except CellError as error:
            raise bad_input(f"{_where(name, error.index, shape, cell, before)}: {error}") from error
        return values.reshape(rows, *inner) if dims else cell.with_dims(values)

    def _values(self, array: pa.Array, info: TensorInfo) -> Array:
        """The values of an array that is not nested. Raises CellError at one that does not fit."""
        _check_nulls(array)
        if not types.is_dictionary(array.type):
            return self._bytes(array) if info.dtype == "string" else from_array(_numbers(array), info)
        indices, dictionary = _numbers(array.indices), array.dictionary
        if dictionary.null_count:
            absent = _numbers(dictionary.is_null()).take(indices)
            if absent.any():
                raise CellError(int(absent.argmax()), _NULL)
            # No row refers to a null. They are left out: filled in, they could become very many bytes.
            indices = (np.cumsum(_numbers(dictionary.is_valid())) - 1).take(indices)
            dictionary = dictionary.drop_null()
        if info.dtype == "string":
            return self._strings(dictionary, indices)
        return from_array(_numbers(dictionary).take(indices), info)

    def _strings(self, dictionary: pa.Array, indices: Array) -> Array:
        """The strings of a dictionary that has no nulls, one for each index.

        TensorFlow gets a copy of each, so a long string that many rows share is counted once for each row.
        """
        found = self._bytes(dictionary)
        lengths = np.fromiter(map(len, found), np.int64, len(found))
        self._count_strings(len(indices), int(lengths.take(indices).sum()))
        return found.take(indices)

    def _bytes(self, array: pa.Array) -> Array:
        """Strings or binary values without nulls."""
        self._count_strings(len(array), _bytes_in(array))
        plain = array
        if not _is_bytes(array.type):
            plain = array.cast(pa.binary() if types.is_string(array.type) else pa.large_binary())
        return bytes_array(plain.to_pylist())

    def _count_strings(self, count: int, size: int) -> None:
        """Those of a dictionary count as well, as each batch makes them anew."""
        self._strings_so_far += count
        self._limits.check_strings(self._strings_so_far)
        if size > self._limits.tensor_bytes:
            raise too_large(f"the strings take more than the {self._limits.tensor_bytes} bytes allowed")
        self._count_bytes(size)

    def _count_bytes(self, size: int) -> None:
        self._bytes_so_far += size
        self._limits.check_together(self._bytes_so_far)
        self._limits.reserve(size)


def _numbers(array: pa.Array) -> Array:
    """An array without nulls; a view where NumPy has the type."""
    found: Array = array.to_numpy(zero_copy_only=False)
    return found


def _check_type(name: str, kind: pa.DataType, info: TensorInfo) -> None:
    """Raise ProblemError (400) for a type that no input of this dtype takes. Dimensions are checked later."""
    leaf = kind
    if isinstance(leaf, pa.FixedShapeTensorType):
        if leaf.permutation is not None and list(leaf.permutation) != sorted(leaf.permutation):
            raise bad_input(
                f"column {quoted(name)} is a tensor with its dimensions permuted: send it in row-major order"
            )
        leaf = leaf.value_type
    while _is_list(leaf):
        leaf = leaf.value_type
    if types.is_dictionary(leaf):
        leaf = leaf.value_type
    if info.dtype == "string":
        fits = _is_text(leaf)
    else:
        fits = types.is_floating(leaf) or types.is_integer(leaf) or types.is_boolean(leaf)
    if not fits:
        raise unfit(info, f"{str(kind)[:_MOST_REASON]} in column {quoted(name)}")


def _unnested(
    array: pa.Array, dims: Sequence[int | None], name: str, cell: Cell, before: int
) -> tuple[pa.Array, tuple[int, ...]]:
    """The values of nested lists, and their shape without the rows."""
    rows = len(array)
    if isinstance(array.type, pa.FixedShapeTensorType):
        _check_rows_without_null(array.storage, (rows,), name, cell, before)
        inner = tuple(array.type.shape)
        if len(inner) != len(dims) or any(
            want not in {None, size} for want, size in zip(dims, inner, strict=True)
        ):
            raise _wrong_shape(name, cell, f"tensors of shape {shape_text(inner)}")
        return array.storage.flatten(), inner
    shape: tuple[int, ...] = (rows,)
    for want in dims:
        if not _is_list(array.type):
            raise _wrong_shape(name, cell, f"lists {len(shape) - 1} deep")
        _check_rows_without_null(array, shape, name, cell, before)
        size, odd = _list_size(array, want)
        if odd is not None:
            found = len(array[odd].values)
            raise bad_input(
                f"{_where(name, odd, shape, cell, before)}: a list of {found} values stands where "
                f"{size} are wanted" + ("" if want is not None else ": rows of one body have the same shape")
            )
        array = array.flatten()
        shape = (*shape, size)
    if _is_list(array.type):
        raise _wrong_shape(name, cell, "more lists within lists")
    return array, shape[1:]


def _list_size(array: pa.Array, want: int | None) -> tuple[int, int | None]:
    """The size that all lists have, and the index of the first that differs."""
    if types.is_fixed_size_list(array.type):
        size = array.type.list_size
        return (size, None) if want in {None, size} or not len(array) else (want or 0, 0)
    lengths = np.diff(array.offsets.to_numpy())
    size = want if want is not None else int(lengths[0]) if len(lengths) else 0
    wrong = lengths != size
    return size, int(wrong.argmax()) if wrong.any() else None


def _check_rows_without_null(
    array: pa.Array, shape: tuple[int, ...], name: str, cell: Cell, before: int
) -> None:
    try:
        _check_nulls(array)
    except CellError as error:
        raise bad_input(f"{_where(name, error.index, shape, cell, before)}: {error}") from error


def _check_nulls(array: pa.Array) -> None:
    """Raise CellError at the first null."""
    if array.null_count:
        raise CellError(pc.index(array.is_null(), value=True).as_py(), _NULL)


def _where(name: str, index: int, shape: tuple[int, ...], cell: Cell, before: int) -> str:
    """The place of a value of one batch, with its row in the whole stream."""
    if not before:
        return position(index, shape, name, word=cell.word)
    row, *inner = (int(part) for part in np.unravel_index(index, shape))
    return place(name, before + row, inner, word=cell.word)


def _wrong_shape(name: str, cell: Cell, sent: str) -> Exception:
    return bad_input(f"input {quoted(name)} takes {cell.value_text} in each row, and the body has {sent}")


def _is_list(kind: pa.DataType) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def _is_text(kind: pa.DataType) -> bool:
    return (
        _is_bytes(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary_view(kind)
    )


def _dictionary_bytes(array: pa.Array) -> int:
    """The bytes of a column's dictionary. Each batch reads it again, so it is counted for each."""
    if isinstance(array.type, pa.FixedShapeTensorType):
        array = array.storage
    while _is_list(array.type):
        array = array.values
    return array.dictionary.get_total_buffer_size() if types.is_dictionary(array.type) else 0


def _bytes_in(array: pa.Array) -> int:
    """How many bytes the strings have. Views may share theirs, so a small body can hold very many."""
    if types.is_string_view(array.type) or types.is_binary_view(array.type):
        views = np.frombuffer(array.buffers()[1], np.int32).reshape(-1, _VIEW_INTS)
        return int(views[: len(array), 0].astype(np.int64).sum())
    return int(pc.sum(pc.binary_length(array)).as_py() or 0)


@contextmanager
def _reported() -> Iterator[None]:
    """Turns what pyarrow raises about a stream into a ProblemError (400)."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        raise bad_input(f"the body is not a valid Arrow stream: {reason(error)}") from error
