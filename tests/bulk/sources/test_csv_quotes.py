from __future__ import annotations

import io
from collections.abc import Iterable

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import assume, example, given
from pyarrow import csv

from tfleet.bulk.errors import BrokenInputError
from tfleet.bulk.sources.csv_quotes import QuoteScan
from tfleet.bulk.sources.text_blocks import read_blocks


@pytest.mark.parametrize(
    ("content", "end"),
    [
        (b"a\nb\nc", 4),
        (b"abc", 0),
        (b'"a\nb', 0),
        (b'x\n"a\nb', 2),
        (b'"a\nb"\nc', 6),
        (b'"a""\n"\nc', 7),
        (b'5" a\nb', 5),
        (b'5" a\n"b\nc', 5),
        (b'"a"b"\n"c\nd"\ne', 12),
        (b'x;"a\nb', 5),
        (b"", 0),
    ],
)
def test_a_line_end_in_a_quoted_value_ends_no_record(content: bytes, end: int) -> None:
    assert QuoteScan(",").last_end(content) == end


def test_the_delimiter_says_where_a_cell_begins() -> None:
    assert QuoteScan(";").last_end(b'x;"a\nb') == 0


@pytest.mark.parametrize(
    ("content", "end"), [(b"a\nb\n", 2), (b'"a\n""b"\nc\n', 8), (b'5"\n"b\n"\n', 3), (b'"a\n', 0)]
)
def test_the_first_record_ends_by_the_same_rule(content: bytes, end: int) -> None:
    assert QuoteScan(",").first_end(content) == end


def parsed(contents: Iterable[bytes]) -> list[dict[str, str]]:
    """The rows that pyarrow finds in these contents, each by itself. Rows of another width have a mark."""
    found = []
    for content in contents:

        def note(row: csv.InvalidRow) -> str:
            found.append({"columns": str(row.actual_columns)})
            return "skip"

        if not content.strip(b"\r\n"):  # pyarrow reads no content without rows
            continue
        table = csv.read_csv(
            pa.py_buffer(content),
            csv.ReadOptions(column_names=["a", "b"], use_threads=False, block_size=2**31 - 1),
            csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
            csv.ConvertOptions(column_types={"a": pa.string(), "b": pa.string()}),
        )
        found.extend(table.to_pylist())
    return sorted(found, key=str)


HOSTILE = st.lists(st.sampled_from([b'"', b",", b"\n", b"\r", b"a", b'""', b',"', b'\n"']), max_size=40)


@given(HOSTILE, st.integers(1, 12))
@example([b'5",b\n"a\n', b'1,2"', b"\n"], 4)
def test_blocks_have_the_rows_that_the_whole_file_has(parts: list[bytes], size: int) -> None:
    content = b"".join(parts)
    try:
        found = [
            b.content
            for b in read_blocks(
                io.BytesIO(content), "f", 0, most_bytes=10**6, delimiter=",", block_bytes=size
            )
        ]
    except BrokenInputError:
        assume(False)
    assert b"".join(found) == content
    assert parsed(found) == parsed([content])
