"""From the arguments of a run to its rows: which files, of which form, with which columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.filter import RowFilter
from tfleet.bulk.manifest import InputDigest
from tfleet.bulk.model_columns import (
    ModelColumns,
    column_infos,
    columns_to_read,
    list_types,
    model_columns,
)
from tfleet.bulk.row_errors import ERROR_COLUMN
from tfleet.bulk.run import Rows
from tfleet.bulk.selection import Selection
from tfleet.bulk.sources.arrow_file import ArrowSource
from tfleet.bulk.sources.csv_file import CsvSource
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.json_lines import JsonLinesSource
from tfleet.bulk.sources.parquet import ParquetSource
from tfleet.bulk.sources.source import PieceLimits, RowSource
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.native.layout import RowLayout
from tfleet.worker.api.protocols.problems import names_text


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How the input is read. Values of None are found out; `keep` None keeps all columns."""

    form: str | None = None
    delimiter: str | None = None
    keep: tuple[str, ...] | None = None


def open_sources(
    files: Sequence[InputFile], layout: RowLayout, options: ReadOptions, limits: PieceLimits
) -> tuple[RowSource, ...]:
    """A source for each file. Raises CannotScoreError."""
    infos, lists = column_infos(layout), list_types(layout)
    found: list[RowSource] = []
    for number, file in enumerate(files):
        form = file.format(options.form)
        if form == "parquet":
            found.append(ParquetSource(file, number, limits))
        elif form == "arrow":
            found.append(ArrowSource(file, number, limits))
        elif form == "jsonl":
            all_fields = options.keep is None
            found.append(JsonLinesSource(file, number, limits, infos, lists, all_fields=all_fields))
        else:
            _check_csv(file, layout)
            found.append(CsvSource(file, number, limits, infos, delimiter=options.delimiter))
    return tuple(found)


def choose_rows(
    sources: Sequence[RowSource],
    layout: RowLayout,
    options: ReadOptions,
    selection: Selection,
    predicted: Sequence[str],
) -> tuple[Rows, ModelColumns]:
    """The rows of the sources, and the model's columns. `predicted` are the columns that the output gets.

    All sources have to have the same columns, of the same types. Raises CannotScoreError.
    """
    first = sources[0]
    there, where = first.columns, first.name
    columns = model_columns(layout, there, where)
    filtered = _filtered(selection.filter, there, where)
    read, kept = columns_to_read(there, options.keep, columns.names, filtered, where=where)
    taken = [name for name in kept if name in (*predicted, ERROR_COLUMN)]
    if taken:
        raise CannotScoreError(
            f"{where} has the column {names_text(taken)}, and the output gets one of that name: "
            "leave it out with --keep"
        )
    schema = first.schema(read)
    columns.check(schema, where)
    for other in sources[1:]:
        _check_alike(first, other, read, schema)
    if selection.filter is not None:
        selection.filter.mask(_no_rows(schema))
    return Rows(sources, read, kept, selection), columns


def input_digests(files: Sequence[InputFile]) -> list[InputDigest]:
    """What the manifest says of the files."""
    return [InputDigest(each.name, each.size, each.digest()) for each in files]


def _check_csv(file: InputFile, layout: RowLayout) -> None:
    try:
        layout.table_names("CSV")
    except ProblemError as error:
        raise CannotScoreError(f"{file.name}: {error}") from error


def _filtered(condition: RowFilter | None, there: Sequence[str], where: str) -> frozenset[str]:
    names = frozenset[str]() if condition is None else condition.names
    absent = sorted(names - set(there))
    if absent:
        raise CannotScoreError(
            f"--filter names {names_text(absent)}, which {where} does not have; it has {names_text(there)}"
        )
    return names


def _check_alike(first: RowSource, other: RowSource, read: Sequence[str], schema: pa.Schema) -> None:
    absent = [name for name in read if name not in other.columns]
    if absent:
        raise CannotScoreError(
            f"{other.name} lacks the column {names_text(absent)}, which {first.name} has: score "
            "them by themselves, or choose columns that all have with --keep"
        )
    for field, found in zip(schema, other.schema(read), strict=True):
        if field.type != found.type:
            raise CannotScoreError(
                f"{other.name} has the column {field.name!r} as {found.type}, and {first.name} as "
                f"{field.type}: score them by themselves"
            )


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], each.type) for each in schema], schema=schema)
