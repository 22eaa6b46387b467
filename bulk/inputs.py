"""From the arguments of a run to its rows: which files, of which form, with which columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.filter import RowFilter
from tfleet.bulk.model_columns import (
    TakenColumns,
    column_infos,
    columns_to_read,
    list_cells,
)
from tfleet.bulk.output import check_kept
from tfleet.bulk.row_errors import ERROR_COLUMN
from tfleet.bulk.run import Rows
from tfleet.bulk.selection import Selection
from tfleet.bulk.sources.arrow_file import ArrowSource
from tfleet.bulk.sources.csv_file import CsvSource
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.image_files import ImageFilesSource
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
    image_column: str | None = None


def open_sources(
    groups: Sequence[tuple[str, Sequence[InputFile]]],
    layout: RowLayout | None,
    options: ReadOptions,
    limits: PieceLimits,
) -> tuple[RowSource, ...]:
    """A source for each group of files. `layout` is None for image models.

    Raises CannotScoreError.
    """
    infos = {} if layout is None else column_infos(layout)
    lists = {} if layout is None else list_cells(layout)
    found: list[RowSource] = []
    for form, group in groups:
        number, file = len(found), group[0]
        if form == "image":
            if layout is not None:
                raise CannotScoreError(f"{file.name}: is an image, and the model takes rows")
            found.append(ImageFilesSource(group, number, limits))
        elif form == "parquet":
            found.append(ParquetSource(file, number, limits))
        elif form == "arrow":
            found.append(ArrowSource(file, number, limits))
        elif form == "jsonl":
            all_fields = options.keep is None
            found.append(JsonLinesSource(file, number, limits, infos, lists, all_fields=all_fields))
        else:
            if layout is not None:
                _check_csv(file, layout)
            found.append(CsvSource(file, number, limits, infos, delimiter=options.delimiter))
    return tuple(found)


def grouped(files: Sequence[InputFile], stated: str | None) -> list[tuple[str, list[InputFile]]]:
    """The files with their forms; images that follow each other together, each other file alone."""
    groups: list[tuple[str, list[InputFile]]] = []
    for file in files:
        form = file.format(stated)
        if form == "image" and groups and groups[-1][0] == "image":
            groups[-1][1].append(file)
        else:
            groups.append((form, [file]))
    return groups


def choose_rows(
    sources: Sequence[RowSource],
    columns: TakenColumns,
    options: ReadOptions,
    selection: Selection,
    predicted: Sequence[str],
) -> Rows:
    """The rows of the sources. `predicted` are the columns that the output gets besides.

    All sources have to have the same columns, of the same types. Raises CannotScoreError.
    """
    first = sources[0]
    there, where = first.columns, first.name
    filtered = _filtered(selection.filter, there, where)
    read, kept = columns_to_read(there, options.keep, columns.names, filtered, where=where)
    taken = [name for name in kept if name in (*predicted, ERROR_COLUMN)]
    if taken:
        raise CannotScoreError(
            f"{where} has the column {names_text(taken)}, and the output gets one of that name: "
            "leave it out with --keep"
        )
    schema = first.schema(read)
    check_kept(first.schema(kept), where)
    columns.check(schema, where)
    for other in sources[1:]:
        _check_alike(first, other, read, schema)
        if options.keep is None:
            _check_no_more(first, other)
    if selection.filter is not None:
        selection.filter.mask(_no_rows(schema))
    return Rows(sources, read, kept, selection)


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


def _check_no_more(first: RowSource, other: RowSource) -> None:
    """All columns were to be kept, and those of the first file are the ones that the output has."""
    more = [name for name in other.columns if name not in first.columns]
    if more:
        raise CannotScoreError(
            f"{other.name} has the column {names_text(more)}, which {first.name} lacks: score them by "
            "themselves, or choose columns that all have with --keep"
        )


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], each.type) for each in schema], schema=schema)
