"""Lines that Spark has read become rows, by the code of `tfleet score`. It runs in Spark's Python workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.sources.csv_cells import cell_type
from tfleet.bulk.sources.csv_file import CsvSource
from tfleet.bulk.sources.json_lines import JsonLinesSource
from tfleet.bulk.sources.source import InputPlace, PieceLimits
from tfleet.bulk.spark.arrow_types import as_spark, spark_schema
from tfleet.bulk.spark.image_files import local_name
from tfleet.bulk.spark.line_stream import LINE, LinesFile, LineStream
from tfleet.bulk.spark.settings import TABLE, UNREAD, TextForm
from tfleet.worker.api.protocols.native.layout import Cell
from tfleet.worker.api.protocols.problems import names_text
from tfleet.worker.model.signature import TensorInfo

FILE: Final = "file"
"""The name of the file, in the first line of each task that reads CSV; null in the others."""
FILE_HASH: Final = "file_hash"
"""A hash of it, in all of them."""
BEGIN: Final = "begin"
"""Where the part of the file begins of which they are."""
_LIMITS: Final = PieceLimits(16_384, 2**31)
_LINES: Final = TABLE
_BOM: Final = b"\xef\xbb\xbf"


def first_columns(form: TextForm, lines: pa.RecordBatch) -> tuple[str, ...]:
    """The columns of the files, by the first lines of one, as a task has them. Raises CannotScoreError."""
    file = _opened(form, [lines])
    if file is None:
        raise CannotScoreError(f"{_LINES} has no lines")
    if form.is_csv:
        return tuple(CsvSource(file, 0, _LIMITS, {}, delimiter=form.delimiter).columns)
    return tuple(JsonLinesSource(file, 0, _LIMITS, {}, {}, all_fields=False).columns)


@dataclass(frozen=True)
class ReadRows:
    """Reads these columns. `infos` and `lists` have the inputs of the model, as sources take them.

    The result has the column UNREAD besides: why a row could not be read.
    """

    form: TextForm
    columns: tuple[str, ...]
    infos: Mapping[str, TensorInfo]
    lists: Mapping[str, Cell]

    @property
    def schema(self) -> pa.Schema:
        """The columns with their types."""
        if self.form.is_csv:
            return pa.schema([(name, cell_type(self.infos.get(name))) for name in self.columns])
        return self._json(LinesFile(_LINES, lines=LineStream(()))).schema(self.columns)

    @property
    def result(self) -> pa.Schema:
        """What it gives: the columns in types that Spark has, and UNREAD."""
        return spark_schema(self.schema).append(pa.field(UNREAD, pa.string()))

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows, in their order. Raises CannotScoreError and RunFailedError."""
        file = _opened(self.form, batches)
        if file is None:
            return
        schema = self.result
        for piece in self._source(file).pieces(InputPlace(), self.columns):
            unread = pa.array(map(piece.errors.get, range(piece.batch.num_rows)), pa.string())
            columns = as_spark(piece.batch, pa.schema(list(schema)[:-1]))
            yield pa.RecordBatch.from_arrays([*columns, unread], schema=schema)

    def _source(self, file: LinesFile) -> CsvSource | JsonLinesSource:
        form = self.form
        if not form.is_csv:
            return self._json(file)
        source = CsvSource(file, 0, _LIMITS, self.infos, delimiter=form.delimiter)
        lacking = [name for name in self.columns if name not in source.columns]
        more = [name for name in source.columns if name not in form.columns] if form.all_columns else []
        if lacking or more:
            which = (
                f"lacks the column {names_text(lacking)}, which another file has"
                if lacking
                else f"has the column {names_text(more)}, which another file lacks"
            )
            raise CannotScoreError(
                f"{file.name} {which}: score them by themselves, or choose columns that all have with --keep"
            )
        return source

    def _json(self, file: LinesFile) -> JsonLinesSource:
        all_fields, columns = self.form.all_columns, self.form.columns
        return JsonLinesSource(
            file, 0, _LIMITS, self.infos, self.lists, all_fields=all_fields, columns=columns
        )


def _opened(form: TextForm, batches: Iterable[pa.RecordBatch]) -> LinesFile | None:
    """The lines of a task as a file; None without any. Raises CannotScoreError."""
    batches = (batch for batch in batches if batch.num_rows)
    first = next(batches, None)
    if first is None:
        return None
    if form.is_csv:
        return LinesFile(local_name(first[FILE][0].as_py()), lines=LineStream(_checked(first, batches)))
    plain = (_without_bom(batch) for batch in _chained(first, batches))
    return LinesFile(_LINES, lines=LineStream(plain))


def _chained(first: pa.RecordBatch, others: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from others


def _without_bom(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A task has lines of several files, and the first one of each may begin with it."""
    lines = batch[LINE]
    marked = pc.starts_with(lines, _BOM)
    if not pc.any(marked).as_py():
        return batch
    rest = pc.binary_slice(lines, len(_BOM))
    return pa.record_batch({LINE: pc.if_else(marked, rest, lines)})


def _checked(first: pa.RecordBatch, others: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches, as long as they are one file from its begin on: else a quoted value might be cut."""
    file = first[FILE_HASH][0]
    for batch in _chained(first, others):
        if pc.max(batch[BEGIN]).as_py() or not pc.all(pc.equal(batch[FILE_HASH], file)).as_py():
            raise CannotScoreError(
                "Spark has cut a CSV file, or joined several: leave spark.sql.files.maxPartitionBytes, "
                "spark.sql.files.openCostInBytes and spark.sql.files.minPartitionNum as they are"
            )
        yield batch
