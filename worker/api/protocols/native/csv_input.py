"""CSV bodies (RFC 4180): a header line with the columns' names in any order, then one line for each row."""

from __future__ import annotations

import csv
import io
from typing import Final

from tfleet.worker.api.protocols.decoded import DecodedInputs
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.native.layout import RowLayout
from tfleet.worker.api.protocols.native.text_cells import parse_texts
from tfleet.worker.api.protocols.problems import (
    CellError,
    bad_input,
    check_names,
    counted,
    quoted,
    too_large,
)

_BOM: Final = "\ufeff"
_HEADER: Final = "the CSV header"
_CELL_BYTES: Final = 100  # a str without its characters, its places in lists, and a number
_TEXT_BYTES: Final = 8  # a character in a str and in StringIO, four bytes each


def decode_csv(body: bytes, layout: RowLayout, limits: InputLimits) -> DecodedInputs:
    """The inputs in a CSV file. Raises ProblemError (400, 413), with the number of the line."""
    names = layout.table_names("CSV")
    cells = body.count(b",") + body.count(b"\n") + body.count(b"\r")
    if cells > limits.csv_cells:
        raise too_large(
            f"the CSV file has about {cells} cells, more than the {limits.csv_cells} allowed: send "
            "fewer rows at "
            "once, or an Arrow stream"
        )
    limits.reserve(cells * _CELL_BYTES + _TEXT_BYTES * len(body))
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise bad_input(f"line {line} of the CSV file is not UTF-8: save the file as UTF-8") from error
    header, lines, rows = _read(text.removeprefix(_BOM), limits)
    if len(header) == 1 and header[0] not in names and any(sign in header[0] for sign in ";\t|"):
        raise bad_input(f"{_HEADER} is {quoted(header[0])}: separate the columns with commas")
    check_names(header, names, _HEADER, layout.optional)
    if not rows:
        raise bad_input("the CSV file has no rows: send a header line and at least one row")
    limits.check_rows(len(rows))
    columns = {}
    for name, texts in zip(header, zip(*rows, strict=True), strict=True):
        try:
            columns[name] = parse_texts(texts, layout.column_info(name))
        except CellError as error:
            raise bad_input(
                f"line {lines[error.index]} of the CSV file, column {quoted(name)}: {error}"
            ) from error
    return DecodedInputs(layout.assemble(columns), len(rows))


def _read(text: str, limits: InputLimits) -> tuple[list[str], list[int], list[list[str]]]:
    """The header, and each row with the number of its last line. Raises ProblemError (400)."""
    # newline="" leaves line ends to the csv module, which must see those within quotes.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: list[int] = []
    rows: list[list[str]] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        for row in reader:
            rows.append(row)
            lines.append(reader.line_num)
            if len(rows) > limits.rows:
                break
    except csv.Error as error:
        raise bad_input(f"line {reader.line_num} of the CSV file: {error}") from error
    while rows and not rows[-1]:  # blank lines at the end
        rows.pop()
    if set(map(len, rows)) - {len(header)}:
        index = next(index for index, row in enumerate(rows) if len(row) != len(header))
        raise bad_input(
            f"line {lines[index]} of the CSV file has {counted(len(rows[index]), 'value')}, and its "
            "header has "
            f"{len(header)}"
        )
    return header, lines, rows
