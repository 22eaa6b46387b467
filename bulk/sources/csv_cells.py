"""A block of CSV as Arrow columns: in one step by pyarrow where that reads what the rules say, else by cells.

The rules are those of a CSV body that a worker takes (worker/api/protocols/native/text_cells.py). pyarrow has
others: `0x10` is 16 to it, `1e400` infinite, and `nan(1)` is NaN. A block with such cells, or with one that
is no number at all, is read cell by cell, so that only its own row is lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from tfleet.bulk.errors import CannotScoreError
from tfleet.worker.api.protocols.native.text_cells import parse_texts
from tfleet.worker.api.protocols.problems import CellError, counted, place
from tfleet.worker.model.signature import TensorInfo

_TYPES: Final[Mapping[str, pa.DataType]] = {
    "float16": pa.float64(),
    "bfloat16": pa.float64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    **{str(each): each for each in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{str(each): each for each in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
}
_NAN_OF_BITS: Final = re.compile(rb"nan\(", re.IGNORECASE)
_CELLS_AT_ONCE: Final = 256
_WHOLE_BLOCK: Final = 2**31 - 1


def cell_type(info: TensorInfo | None) -> pa.DataType:
    """The type of a column that belongs to this input of the model; text for one that belongs to none."""
    if info is None:
        return pa.string()
    # pyarrow calls float32 `float`, so the names are TensorFlow's.
    found = _TYPES.get(info.dtype)
    if found is None:
        raise CannotScoreError(
            f"input {info.name!r} is {info.dtype}, for which text has no form: use Parquet"
        )
    return found


class CsvCells:
    """Reads blocks of a CSV file with these columns."""

    def __init__(
        self, names: Sequence[str], infos: Mapping[str, TensorInfo], wanted: Sequence[str], delimiter: str
    ) -> None:
        self._names = list(names)
        self._infos = infos
        self._delimiter = delimiter
        self.schema = pa.schema([(name, cell_type(infos.get(name))) for name in wanted])

    def __repr__(self) -> str:
        return f"<CsvCells {len(self.schema)} of {len(self._names)} columns>"

    def read(self, content: bytes) -> tuple[pa.RecordBatch, dict[int, str]]:
        """The rows of a block, and why some of them could not be read, by their index."""
        try:
            read = self._read(content, self.schema)
        except pa.ArrowInvalid:  # a cell that is none of its type, or text that is not UTF-8
            read = None
        if read is None or self._read_otherwise(content, read[0]):
            return self._by_cells(content)
        batch, errors = read
        return _without_empty_texts(batch, self._infos), errors

    def _read_otherwise(self, content: bytes, batch: pa.RecordBatch) -> bool:
        """Whether pyarrow may have read numbers by rules of its own."""
        integers = any(pa.types.is_integer(field.type) for field in batch.schema)
        if integers and (b"0x" in content or b"0X" in content):
            return True
        floats = [column for column in batch.columns if pa.types.is_floating(column.type)]
        if floats and b"(" in content and _NAN_OF_BITS.search(content):
            return True
        return any(pc.any(pc.is_inf(column)).as_py() for column in floats)

    def _read(self, content: bytes, schema: pa.Schema) -> tuple[pa.RecordBatch, dict[int, str]]:
        """Raises ArrowInvalid for a cell that is not of its column's type."""
        errors: dict[int, str] = {}

        def note(row: Any) -> str:
            expected, actual = counted(row.expected_columns, "column"), counted(row.actual_columns, "value")
            errors[row.number - 1] = f"the row has {actual}, and the header {expected}"
            return "skip"

        table = csv.read_csv(
            pa.py_buffer(content),
            # One thread, as only then the rows have numbers; one block, as its end is that of a record.
            csv.ReadOptions(column_names=self._names, use_threads=False, block_size=_WHOLE_BLOCK),
            csv.ParseOptions(
                delimiter=self._delimiter,
                newlines_in_values=True,
                ignore_empty_lines=len(self._names)
                > 1,  # in a file of one column it is a row without a value
                invalid_row_handler=note,
            ),
            csv.ConvertOptions(
                column_types=schema,
                include_columns=schema.names,
                null_values=[""],
                strings_can_be_null=False,
                true_values=["true", "True", "TRUE"],
                false_values=["false", "False", "FALSE"],
            ),
        ).combine_chunks()
        batch = table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], table.schema)
        return _with_gaps(batch, errors), errors

    def _by_cells(self, content: bytes) -> tuple[pa.RecordBatch, dict[int, str]]:
        raw = pa.schema([(name, pa.binary()) for name in self.schema.names])
        batch, errors = self._read(content, raw)
        columns = [
            _parsed(batch.column(field.name), field, self._infos.get(field.name), errors)
            for field in self.schema
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema), errors


def _with_gaps(batch: pa.RecordBatch, gaps: Mapping[int, str]) -> pa.RecordBatch:
    """The rows with a row of nulls at each of these indices, so that every row of the file is one."""
    if not gaps:
        return batch
    rows = batch.num_rows + len(gaps)
    absent = np.zeros(rows, np.bool_)
    absent[list(gaps)] = True
    return batch.take(pa.array(np.cumsum(~absent) - 1, pa.int64(), mask=absent))


def _without_empty_texts(batch: pa.RecordBatch, infos: Mapping[str, TensorInfo]) -> pa.RecordBatch:
    """Empty cells of the model's texts become nulls: CSV cannot tell an empty text from a missing one."""
    columns = [
        pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
        if field.name in infos and pa.types.is_string(field.type)
        else column
        for field, column in zip(batch.schema, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _parsed(cells: pa.Array, field: pa.Field, info: TensorInfo | None, errors: dict[int, str]) -> pa.Array:
    """A column of bytes in its type. A row whose cell is wrong has null there, and an error."""
    texts: list[str | None] = []
    for index, cell in enumerate(cells.to_pylist()):
        try:
            texts.append(None if cell is None else cell.decode())
        except UnicodeDecodeError:
            texts.append(None if info is not None else cell.decode(errors="replace"))
            _note(errors, index, field.name, "the cell is not UTF-8")
    if info is None:
        return pa.array(texts, field.type)
    found: list[Any] = [None] * len(texts)
    given = [index for index, text in enumerate(texts) if text]
    for first in range(0, len(given), _CELLS_AT_ONCE):
        _parse(texts, given[first : first + _CELLS_AT_ONCE], field.name, info, found, errors)
    return pa.array(found, field.type)


def _parse(
    texts: Sequence[str | None],
    indices: Sequence[int],
    column: str,
    info: TensorInfo,
    found: list[Any],
    errors: dict[int, str],
) -> None:
    """Parse the texts at these indices into `found`. Where one is wrong, they are parsed one by one."""
    try:
        values = parse_texts([texts[index] or "" for index in indices], info)
    except CellError as error:
        if len(indices) == 1:
            _note(errors, indices[0], column, str(error))
            return
        for index in indices:
            _parse(texts, [index], column, info, found, errors)
        return
    wide = values.astype(np.float64) if values.dtype.kind not in "Obiu" else values
    for index, value in zip(indices, wide.tolist(), strict=True):
        found[index] = value


def _note(errors: dict[int, str], index: int, column: str, what: str) -> None:
    errors.setdefault(index, f"{place(column, word='column')}: {what}")
