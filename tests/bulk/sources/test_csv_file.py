from __future__ import annotations

import gzip
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tfleet.bulk.errors import BrokenInputError, CannotScoreError, RunFailedError
from tfleet.bulk.sources.csv_file import CsvSource
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.source import InputPlace, Piece, PieceLimits
from tfleet.worker.model.signature import TensorInfo

INFOS = {
    name: TensorInfo(name, f"{name}:0", dtype, (None,))
    for name, dtype in {"x": "float32", "n": "int8", "w": "string", "b": "bool"}.items()
}


class Trickle(io.BytesIO):
    """Each read brings a byte; one of a decompressing stream may bring few."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 1))


class TricklingFile(InputFile):
    def open_text(self) -> Trickle:
        return Trickle(Path(self.path).read_bytes())


@pytest.fixture
def source(tmp_path: Path) -> Any:
    def make(content: bytes | str, *, name: str = "rows.csv", infos: Mapping[str, Any] = INFOS) -> CsvSource:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return CsvSource(InputFile(str(path)), 0, PieceLimits(16_384, 10**6), infos)

    return make


def pieces(
    source: CsvSource, columns: Sequence[str] | None = None, start: InputPlace | None = None
) -> list[Piece]:
    return list(source.pieces(start or InputPlace(), source.columns if columns is None else columns))


def rows(source: CsvSource) -> list[dict[str, Any]]:
    return [row for piece in pieces(source) for row in piece.batch.to_pylist()]


def errors(source: CsvSource) -> dict[int, str]:
    return {piece.first_row + row: text for piece in pieces(source) for row, text in piece.errors.items()}


def test_the_models_columns_have_its_types_and_others_are_text(source: Any) -> None:
    assert rows(source("id,x,n,w,b\n007,1.5,-3,hi,true\n")) == [
        {"id": "007", "x": 1.5, "n": -3, "w": "hi", "b": True}
    ]


def test_only_wanted_columns_are_read(source: Any) -> None:
    (piece,) = pieces(source("id,x,n\n1,2,broken\n"), ["id", "x"])
    assert piece.batch.to_pylist() == [{"id": "1", "x": 2.0}]
    assert piece.errors == {}


@pytest.mark.parametrize(
    ("cells", "error"),
    [
        ("abc,1", "column 'x': 'abc' is no float32"),
        ("1e400,1", "column 'x': '1e400' is out of range for float32"),
        ("nan(1),1", "column 'x': 'nan(1)' is no float32"),
        ("1,1.0", "column 'n': '1.0' is no int8"),
        ("1,300", "column 'n': 300 is out of range for int8 (-128 to 127)"),
        ("1,0x10", "column 'n': '0x10' is no int8"),
        ("1_0,1", "column 'x': '1_0' is no float32"),
        ("1", "the row has 1 value, and the header 2 columns"),
        ("1,2,3", "the row has 3 values, and the header 2 columns"),
    ],
)
def test_a_wrong_cell_is_an_error_of_its_row_alone(source: Any, cells: str, error: str) -> None:
    csv = source(f"x,n\n1,2\n{cells}\n3,4\n")
    assert errors(csv) == {1: error}
    assert [rows(csv)[0], rows(csv)[2]] == [{"x": 1.0, "n": 2}, {"x": 3.0, "n": 4}]


def test_an_error_names_the_column_and_not_the_input(source: Any) -> None:
    vector = TensorInfo("inputs", "inputs:0", "float32", (None, 2))
    csv = source("a,b\n1,?\n", infos={"a": vector, "b": vector})
    assert errors(csv) == {0: "column 'b': '?' is no float32"}


def test_words_for_no_number_are_numbers(source: Any) -> None:
    found = [row["x"] for row in rows(source("x\nNaN\n-inf\nInfinity\n"))]
    assert math.isnan(found[0])
    assert found[1:] == [-math.inf, math.inf]


def test_an_empty_cell_is_null_in_the_models_columns_only(source: Any) -> None:
    assert rows(source("id,x,w\n,,\n")) == [{"id": "", "x": None, "w": None}]


def test_an_empty_line_is_a_row_where_there_is_one_column(source: Any) -> None:
    assert rows(source("x\n1\n\n2\n")) == [{"x": 1.0}, {"x": None}, {"x": 2.0}]
    csv = source("n\n1\n\nwrong\n")
    assert (rows(csv), errors(csv)) == (
        [{"n": 1}, {"n": None}, {"n": None}],
        {2: "column 'n': 'wrong' is no int8"},
    )
    assert rows(source("x,n\n1,2\n\n3,4\n")) == [{"x": 1.0, "n": 2}, {"x": 3.0, "n": 4}]


def test_values_may_have_quotes_commas_and_line_ends(source: Any) -> None:
    csv = source('id,x\n"a,""b""\nc",1\n\nd,2\n')
    assert rows(csv) == [{"id": 'a,"b"\nc', "x": 1.0}, {"id": "d", "x": 2.0}]


def test_a_quote_within_a_cell_moves_no_end_of_a_row(source: Any) -> None:
    stray = {11, 119_998}
    notes = [
        '5" pipe' if n in stray else f'"first\n{n},second"' if n % 3 == 0 else "x" for n in range(120_000)
    ]
    csv = source("id,note\n" + "".join(f"{n},{note}\n" for n, note in enumerate(notes)))
    assert len(pieces(csv)) > 2
    assert errors(csv) == {}
    found = rows(csv)
    assert [row["id"] for row in found] == [str(number) for number in range(120_000)]
    assert [row["note"] for row in found] == [note.strip('"') for note in notes]


def test_a_name_behind_a_byte_order_mark_may_be_quoted(source: Any) -> None:
    csv = source(b'\xef\xbb\xbf"a\nb",x\n1,2\n')
    assert rows(csv) == [{"a\nb": "1", "x": 2.0}]


def test_text_that_is_not_utf_8_is_an_error_of_its_row(source: Any) -> None:
    csv = source(b"id,x\n\xff,1\nb,2\n")
    assert errors(csv) == {0: "column 'id': the cell is not UTF-8"}
    assert rows(csv) == [{"id": "\ufffd", "x": 1.0}, {"id": "b", "x": 2.0}]


def test_bad_rows_in_many_blocks_keep_their_numbers(source: Any) -> None:
    lines = [f"{number},{'bad' if number % 997 == 5 else number}" for number in range(300_000)]
    csv = source("id,x\n" + "\n".join(lines) + "\n")
    found = pieces(csv)
    assert len(found) > 2
    bad = {piece.first_row + row for piece in found for row in piece.errors}
    assert bad == {number for number in range(300_000) if number % 997 == 5}
    ids = [each for piece in found for each in piece.batch.column("id").to_pylist()]
    assert ids == [str(number) for number in range(300_000)]


@pytest.mark.parametrize("compressed", [False, True])
def test_reading_goes_on_at_the_end_of_any_piece(source: Any, compressed: bool) -> None:
    content = b"id,x\n" + b"".join(b"%d,%d\n" % (number, number) for number in range(300_000))
    csv = source(gzip.compress(content), name="rows.csv.gz") if compressed else source(content)
    whole = pieces(csv)
    assert len(whole) > 10
    for index, piece in enumerate(whole):
        following = pieces(csv, start=piece.end)
        assert [each.end for each in following] == [each.end for each in whole[index + 1 :]]
        assert [each.batch for each in following] == [each.batch for each in whole[index + 1 :]]


@pytest.mark.parametrize("ending", ["gz", "zst", "lz4"])
def test_a_compressed_file_that_breaks_off_cannot_be_finished(source: Any, ending: str) -> None:
    content = b"id\n" + b"".join(b"%d\n" % (number * 7919 % 10_000_019) for number in range(200_000))
    buffer = pa.BufferOutputStream()
    with pa.CompressedOutputStream(buffer, {"gz": "gzip", "zst": "zstd"}.get(ending, ending)) as stream:
        stream.write(content)
    whole = buffer.getvalue().to_pybytes()
    csv = source(whole[: len(whole) * 9 // 10], name=f"rows.csv.{ending}")
    with pytest.raises(
        BrokenInputError, match=r"cannot be decompressed to its end: Truncated compressed stream"
    ):
        pieces(csv)


def test_a_file_that_the_system_cannot_read_may_be_finished(source: Any) -> None:
    csv = source(gzip.compress(b"id\n1\n"), name="rows.csv.gz")
    Path(csv.name).unlink()
    with pytest.raises(RunFailedError, match="cannot be read") as caught:
        pieces(csv)
    assert not isinstance(caught.value, BrokenInputError)


def test_a_row_longer_than_the_memory_allows_ends_the_run(source: Any) -> None:
    with pytest.raises(BrokenInputError, match=r"a row after byte 3 has more than 2000000 bytes: .*--memory"):
        pieces(source("id\n" + "x" * 4_000_000 + "\n1\n"))


def test_a_header_that_comes_in_pieces_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x,name\n1,a\n")
    trickling = CsvSource(TricklingFile(str(tmp_path / "rows.csv")), 0, PieceLimits(100, 10**6), INFOS)
    assert rows(trickling) == [{"x": 1.0, "name": "a"}]


def test_a_byte_order_mark_is_no_part_of_a_name(source: Any) -> None:
    assert source(b"\xef\xbb\xbfx,n\n1,2\n").columns == ("x", "n")


def test_tsv_is_separated_by_tabs(source: Any) -> None:
    assert rows(source("id\tx\na,b\t1\n", name="rows.tsv")) == [{"id": "a,b", "x": 1.0}]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "has no header line with the names of its columns"),
        (b"x,n,x\n1,2,3\n", "has two columns 'x': give each its own name"),
        (b"x" * 200_000 + b",n\n1,2\n", "has no header line that is CSV: field larger than field limit"),
        (b"x,n\r1,2\r", r"its header line has a carriage return: end lines with \\n or \\r\\n"),
        (b"\xff,n\n1,2\n", "is not UTF-8: convert it first"),
    ],
)
def test_a_file_without_usable_names_is_refused(source: Any, content: bytes, error: str) -> None:
    with pytest.raises(CannotScoreError, match=error):
        source(content)


def test_a_complex_input_has_no_form_in_csv(source: Any) -> None:
    infos = {"c": TensorInfo("c", "c:0", "complex64", (None,))}
    with pytest.raises(CannotScoreError, match="'c' is complex64, for which text has no form: use Parquet"):
        pieces(source("c\n1\n", infos=infos))
