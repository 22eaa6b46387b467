"""Read the inputs of `tfleet score --spark` with Spark's own readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.inputs import ReadOptions
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.spark.hadoop import HadoopFiles
from tfleet.bulk.spark.settings import UNREAD
from tfleet.client.images.files import SUFFIXES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameReader, SparkSession

_LISTED: Final = 100
_CONTENT: Final = "content"


@dataclass(frozen=True, slots=True)
class SparkInput:
    """A table that was read. `texts`: its numbers are texts, as CSV has no types."""

    frame: DataFrame
    form: str
    texts: bool = False


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
    if form == "csv":
        return SparkInput(_csv(session, inputs, options.delimiter or _delimiter(names)), form, texts=True)
    if form == "jsonl":
        return SparkInput(_json_lines(session, inputs), form)
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


def _csv(session: SparkSession, inputs: Sequence[str], delimiter: str) -> DataFrame:
    from pyspark.sql.types import StringType, StructField, StructType  # noqa: PLC0415 - pyspark is an extra

    reader = _reader(session).options(
        header=True,
        sep=delimiter,
        quote='"',
        escape='"',  # as RFC 4180 has it; Spark's own is a backslash
        encoding="UTF-8",
        mode="PERMISSIVE",
        columnNameOfCorruptRecord=UNREAD,
        enforceSchema=False,  # files whose headers differ are refused
        maxCharsPerColumn=-1,
    )
    names = reader.csv(list(inputs)).columns
    schema = StructType([StructField(name, StringType()) for name in (*names, UNREAD)])
    return reader.schema(schema).csv(list(inputs))


def _json_lines(session: SparkSession, inputs: Sequence[str]) -> DataFrame:
    reader = _reader(session).options(mode="PERMISSIVE", columnNameOfCorruptRecord=UNREAD)
    return reader.json(list(inputs))
