"""Parquet files, read row group by row group.

`pyarrow.dataset` reads ahead and keeps what it has read (apache/arrow#39808): a file of ten times the memory
ends the process. A `ParquetFile` without `pre_buffer` and with a buffer holds about one piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from tfleet.bulk.errors import CannotScoreError, RunFailedError
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.plain import cast
from tfleet.bulk.sources.source import InputPlace, Piece, PieceLimits
from tfleet.bulk.sources.typed_file import TypedFile

_BUFFER_BYTES: Final = 1024 * 1024


class ParquetSource(TypedFile):
    """One Parquet file."""

    def __init__(self, file: InputFile, number: int, limits: PieceLimits) -> None:
        try:
            with _opened(file) as parquet:
                schema = parquet.schema_arrow
                self.rows: int | None = parquet.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise CannotScoreError(f"{file.name}: is not a Parquet file that can be read: {error}") from error
        super().__init__(file, number, limits, schema)

    def __repr__(self) -> str:
        return f"<ParquetSource {self.name} rows={self.rows}>"

    def pieces(self, start: InputPlace, columns: Sequence[str]) -> Iterator[Piece]:
        """The rows from `start` on, which has to be where a piece begins."""
        schema = self.schema(columns)
        try:
            with _opened(self._file) as parquet:
                first_row = 0
                for group in range(parquet.metadata.num_row_groups):
                    rows = parquet.metadata.row_group(group).num_rows
                    if first_row + rows > start.row:
                        yield from self._group(parquet, group, first_row, start.row, schema)
                    first_row += rows
        except (pa.ArrowException, OSError) as error:
            raise RunFailedError(f"{self.name}: cannot be read: {error}") from error

    def _group(
        self, parquet: pq.ParquetFile, group: int, first_row: int, start_row: int, schema: pa.Schema
    ) -> Iterator[Piece]:
        facts = parquet.metadata.row_group(group)
        each = piece_rows(facts.num_rows, facts.total_byte_size, self._limits)
        if not schema.names:  # no column is wanted, and the rows count all the same
            batches = iter(_without_columns(facts.num_rows, each))
        else:
            batches = parquet.iter_batches(each, row_groups=[group], columns=schema.names, use_threads=False)
        for batch in batches:
            behind = first_row + batch.num_rows
            if behind > start_row:
                yield Piece(cast(batch, schema), first_row, InputPlace(self._number, behind))
            first_row = behind


def piece_rows(rows: int, size: int, limits: PieceLimits) -> int:
    """How many rows of a row group with so many rows and bytes make a piece."""
    return max(1, min(limits.rows, limits.bytes * rows // max(size, 1)))


def _opened(file: InputFile) -> pq.ParquetFile:
    return pq.ParquetFile(file.open(), pre_buffer=False, buffer_size=_BUFFER_BYTES)


def _without_columns(rows: int, each: int) -> list[pa.RecordBatch]:
    nothing = pa.RecordBatch.from_struct_array(pa.array([{}] * min(each, rows), pa.struct([])))
    return [nothing.slice(0, min(each, rows - first)) for first in range(0, rows, each)]
