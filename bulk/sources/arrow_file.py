"""Arrow files and streams (`.arrow`, `.feather`, `.arrows`), batch by batch.

A local file is mapped into memory: the system reads what is used, and takes it back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from tfleet.bulk.batches import batch_ends, row_sizes
from tfleet.bulk.errors import CannotScoreError, RunFailedError
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.plain import cast
from tfleet.bulk.sources.source import InputPlace, Piece, PieceLimits
from tfleet.bulk.sources.typed_file import TypedFile


class ArrowSource(TypedFile):
    """One Arrow file, or a stream in a file."""

    rows: int | None = None

    def __init__(self, file: InputFile, number: int, limits: PieceLimits) -> None:
        try:
            with _opened(file) as (schema, _):
                super().__init__(file, number, limits, schema)
        except (pa.ArrowException, OSError) as error:
            raise CannotScoreError(f"{file.name}: is no Arrow file or stream: {error}") from error

    def __repr__(self) -> str:
        return f"<ArrowSource {self.name}>"

    def pieces(self, start: InputPlace, columns: Sequence[str]) -> Iterator[Piece]:
        """The rows from `start` on, which has to be where a piece begins."""
        schema = self.schema(columns)
        first_row = 0
        try:
            with _opened(self._file) as (_, batches):
                for batch in batches:
                    if first_row + batch.num_rows > start.row:
                        yield from self._slices(batch, first_row, start.row, schema)
                    first_row += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise RunFailedError(f"{self.name}: cannot be read: {error}") from error

    def _slices(
        self, batch: pa.RecordBatch, first: int, start_row: int, schema: pa.Schema
    ) -> Iterator[Piece]:
        sizes = row_sizes(batch.select(schema.names))
        limits = self._limits
        for begin, end in batch_ends(sizes, most_rows=limits.rows, most_bytes=limits.bytes):
            if first + end > start_row:
                rows = cast(batch.slice(begin, end - begin), schema)
                yield Piece(rows, first + begin, InputPlace(self._number, first + end))


@contextmanager
def _opened(file: InputFile) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    with file.open_mapped() as content:
        if file.is_arrow_file:
            with pa.ipc.open_file(content) as reader:
                yield reader.schema, map(reader.get_batch, range(reader.num_record_batches))
        else:
            with pa.ipc.open_stream(content) as stream:
                yield stream.schema, iter(stream)
