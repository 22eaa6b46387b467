"""Read the inputs of `tfleet score --spark` with Spark's own readers; the lines of text become rows later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.inputs import ReadOptions
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.spark.hadoop import HadoopFiles
from tfleet.bulk.spark.line_stream import LINE
from tfleet.bulk.spark.settings import TextForm
from tfleet.bulk.spark.text_rows import BEGIN, FILE, FILE_HASH, first_columns
from tfleet.client.images.files import SUFFIXES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameReader, SparkSession

_LISTED: Final = 100
_CONTENT: Final = "content"
_FIRST_LINES: Final = 1000
_WHOLE: Final = str(2**40)
_ROWS_OF_TASK: Final = 2**33 - 1  # the part of an ID that counts the rows of a task


@dataclass(frozen=True, slots=True)
class SparkInput:
    """A table that was read. With a `text` it has lines, which executors make rows of."""

    frame: DataFrame
    form: str
    text: TextForm | None = None


def read_input(session: SparkSession, inputs: Sequence[str], options: ReadOptions) -> SparkInput:
    """The table in these files, folders or patterns. Raises CannotScoreError."""
    files = HadoopFiles(session)
    given, inputs = inputs, files.as_patterns(inputs)
    names = _names(session, given, inputs)
    form = options.form or _form(names, given)
    if form == "arrow":
        raise CannotScoreError("Spark does not read Arrow files: write them as Parquet, or leave out --spark")
    if form == "image":
        return SparkInput(_images(session, given, inputs, options), form)
    if form in {"csv", "jsonl"}:
        delimiter = (options.delimiter or _delimiter(names)) if form == "csv" else None
        return _text(session, given, inputs, TextForm(delimiter, all_columns=options.keep is None))
    frame = _reader(session).parquet(*inputs)
    files.check_alike(frame.inputFiles())
    return SparkInput(frame, form)


def _reader(session: SparkSession) -> DataFrameReader:
    """What reads the files in folders, and those in folders below."""
    return session.read.option("recursiveFileLookup", "true")


def _names(session: SparkSession, given: Sequence[str], inputs: Sequence[str]) -> list[str]:
    """The inputs, or the first files in them where their own names say nothing."""
    if any(InputFile(name).by_name() for name in given):
        return list(given)
    files = _reader(session).format("binaryFile").load(list(inputs))
    return [row.path for row in files.select("path").limit(_LISTED).collect()]


def _form(names: Sequence[str], inputs: Sequence[str]) -> str:
    """What the names say that the inputs are. Raises CannotScoreError."""
    found = {form for name in names if (form := InputFile(name).by_name()) is not None}
    if len(found) != 1:
        what = f"they are {' and '.join(sorted(found))}" if found else "their names do not say what they are"
        raise CannotScoreError(f"{', '.join(inputs)}: {what}: give --format")
    return found.pop()


def _delimiter(names: Sequence[str]) -> str:
    return "\t" if names and all(".tsv" in PurePosixPath(name).suffixes for name in names) else ","


def _images(
    session: SparkSession, given: Sequence[str], inputs: Sequence[str], options: ReadOptions
) -> DataFrame:
    """The images' paths; and their bytes where the executors' Python can't read the paths."""
    frame = _reader(session).format("binaryFile").load(list(inputs))
    endings = "|".join(ending.removeprefix(".") for ending in SUFFIXES)
    named = [name for name in given if name.lower().endswith(SUFFIXES)]
    if len(named) < len(inputs):  # folders may have other files, too
        frame = frame.where(frame.path.rlike(rf"(?i)\.({endings})$"))
    columns = ["path"] if options.image_column in {None, "path"} else ["path", _CONTENT]
    return frame.select(*columns)


def _text(session: SparkSession, given: Sequence[str], inputs: Sequence[str], form: TextForm) -> SparkInput:
    """The lines of files, with the columns that they have. Raises CannotScoreError."""
    from pyspark.sql import functions as f  # noqa: PLC0415 - pyspark is an extra

    lines = _reader(session).text(list(inputs), lineSep="\n")
    line = lines.value.cast("binary").alias(LINE)
    if form.is_csv:
        # Each file is one task: where a record begins is not known in the middle of a file.
        session.conf.set("spark.sql.files.maxPartitionBytes", _WHOLE)
        session.conf.set("spark.sql.files.openCostInBytes", _WHOLE)
        session.conf.set("spark.sql.files.minPartitionNum", "1")
        path = f.col("_metadata.file_path")
        is_first = f.monotonically_increasing_id().bitwiseAND(_ROWS_OF_TASK) == 0
        begin = f.col("_metadata.file_block_start").alias(BEGIN)
        frame = lines.select(line, f.when(is_first, path).alias(FILE), f.hash(path).alias(FILE_HASH), begin)
    else:
        frame = lines.where(lines.value.rlike(r"\S")).select(line)
    # On the driver: a task that does not read all of its rows ends its Python worker.
    rows = frame.take(_FIRST_LINES)
    if not rows:
        raise CannotScoreError(f"{', '.join(given)}: has no lines")
    first = [row.asDict() for row in rows if not form.is_csv or row[FILE_HASH] == rows[0][FILE_HASH]]
    found = first_columns(form, pa.RecordBatch.from_pylist(first))
    return SparkInput(frame, "csv" if form.is_csv else "jsonl", replace(form, columns=found))
