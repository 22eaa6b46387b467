from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tfleet.bulk.errors import BrokenInputError, CannotScoreError
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.json_lines import JsonLinesSource
from tfleet.bulk.sources.source import InputPlace, Piece, PieceLimits
from tfleet.worker.api.protocols.native.layout import Cell
from tfleet.worker.model.signature import TensorInfo

INFOS = {
    name: TensorInfo(name, f"{name}:0", dtype, (None,))
    for name, dtype in {"x": "float32", "n": "int8", "w": "string", "b": "bool"}.items()
}
LISTS = {
    name: Cell(TensorInfo(name, f"{name}:0", dtype, (None, *dims)), dims)
    for name, dtype, dims in [("v", "float32", (None,)), ("m", "int32", (None, 2)), ("s", "string", (None,))]
}


@pytest.fixture
def source(tmp_path: Path) -> Any:
    def make(*lines: Any, all_fields: bool = True) -> JsonLinesSource:
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (tmp_path / "rows.jsonl").write_text("\n".join(texts))
        return opened(tmp_path / "rows.jsonl", all_fields=all_fields)

    return make


def opened(path: Path, *, all_fields: bool = True) -> JsonLinesSource:
    file = InputFile(str(path))
    return JsonLinesSource(file, 0, PieceLimits(1000, 10**6), INFOS, LISTS, all_fields=all_fields)


def pieces(source: JsonLinesSource, start: InputPlace | None = None) -> list[Piece]:
    return list(source.pieces(start or InputPlace(), source.columns))


def test_the_models_columns_have_its_types_and_others_are_text(source: Any) -> None:
    (piece,) = pieces(
        source(
            {"id": 7, "x": 1, "n": -3, "w": "hi", "b": True, "v": [1, 2.5]},
            {"id": "7", "more": {"a": [1, None]}, "x": None},
        )
    )
    assert piece.errors == {}
    nothing = dict.fromkeys(["n", "w", "b", "v", "x"])
    assert piece.batch.to_pylist() == [
        {"id": "7", "x": 1.0, "n": -3, "w": b"hi".decode(), "b": True, "v": [1.0, 2.5], "more": None},
        {"id": "7", "more": '{"a": [1, null]}'} | nothing,
    ]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('{"x": "1"}', "column 'x': the string '1' is not a number: send float32 without quotes"),
        ('{"n": 1.5}', "column 'n': 1.5 is not an integer, and the model takes int8"),
        ('{"n": 300}', "column 'n': 300 is out of range for int8 (-128 to 127)"),
        ('{"b": 1}', "column 'b': 1 is not true or false"),
        ('{"v": [1, "2"]}', "column 'v': the string '2' is not a number: send float32 without quotes"),
        ('{"v": [true]}', "column 'v': true is not a number, and the model takes float32"),
        ('{"v": [1e39, 1]}', "column 'v': 1e+39 is out of range for float32 (up to 3.4028e+38)"),
        ('{"v": [null]}', "column 'v': null is no float32: send a value"),
        ('{"v": 1}', "column 'v': is no list<item: float>"),
        ('{"m": [[1.9, 2]]}', "column 'm': 1.9 is not an integer, and the model takes int32"),
        ('{"m": [1, 2]}', "column 'm': is no list<item: list<item: int32>>"),
        ('{"x": 1', "the line is not JSON: unexpected end of data"),
        ("[1]", "the line is no JSON object"),
        ('{"x": 1, "n": 2, "x": 3}', "the line has 'x' twice"),
    ],
)
def test_a_wrong_value_is_an_error_of_its_row_alone(source: Any, line: str, error: str) -> None:
    good = {"x": 1, "n": 2, "b": True, "v": [3]}
    (piece,) = pieces(source(good, line, "", good))
    assert piece.errors == {1: error}
    assert [row["v"] for row in piece.batch.to_pylist()][::2] == [[3.0], [3.0]]


def test_lists_have_the_values_that_a_body_would_have(source: Any) -> None:
    lines = [
        {"v": [16777217, 0.5], "m": [[1, 2], [3, 4]], "s": ["a", "ä"]},
        {"v": [], "m": [], "s": None},
        {"m": [[], [5, -6]], "s": []},
    ]
    (piece,) = pieces(source(*lines * 200))
    assert piece.errors == {}
    assert piece.batch.to_pylist()[-3:] == [
        {"v": [16777216.0, 0.5], "m": [[1, 2], [3, 4]], "s": ["a", "ä"]},
        {"v": [], "m": [], "s": None},
        {"v": None, "m": [[], [5, -6]], "s": []},
    ]


def test_numbers_of_other_fields_are_kept_as_they_are_written(source: Any) -> None:
    line = (
        ' {"id": 12345678901234567890123, "price" : 1.10 ,"x": 1.0, '
        '"more": {"a,}": [1E5, "\\"]"]}, "last":-0.0}'
    )
    (piece,) = pieces(source(line, {"id": 9007199254740993, "price": "1.10"}))
    assert piece.errors == {}
    nothing = {"x": None, "more": None, "last": None}
    assert piece.batch.to_pylist() == [
        {
            "id": "12345678901234567890123",
            "price": "1.10",
            "more": '{"a,}": [1E5, "\\"]"]}',
            "x": 1.0,
            "last": "-0.0",
        },
        {"id": "9007199254740993", "price": "1.10"} | nothing,
    ]


def test_a_field_that_comes_too_late_is_not_lost_in_silence(source: Any) -> None:
    lines = [{"id": "x" * 1000}] * 1500 + [{"id": "y", "late": 1}]
    found = pieces(source(*lines))
    assert {piece.first_row + row: text for piece in found for row, text in piece.errors.items()} == {
        1500: "the row has 'late', which none of the first rows has: choose columns with --keep"
    }
    assert not any(piece.errors for piece in pieces(source(*lines, all_fields=False)))


def test_reading_goes_on_at_the_end_of_any_piece(source: Any) -> None:
    rows = source(*({"id": number, "x": number} for number in range(60_000)))
    whole = pieces(rows)
    assert len(whole) > 50
    for index in (0, 1, 37, len(whole) - 2, len(whole) - 1):
        following = pieces(rows, whole[index].end)
        assert [each.end for each in following] == [each.end for each in whole[index + 1 :]]
        assert [each.batch for each in following] == [each.batch for each in whole[index + 1 :]]


@pytest.mark.parametrize("line", ["", "[1, 2]", "no json"])
def test_a_file_without_objects_is_refused(source: Any, line: str) -> None:
    with pytest.raises(CannotScoreError, match="has no line with a JSON object in its first 1048576 bytes"):
        source(line)


def test_a_byte_order_mark_is_no_part_of_a_line(source: Any) -> None:
    (piece,) = pieces(source('\ufeff{"x": 1}', {"x": 2}))
    assert (piece.batch.to_pydict(), piece.errors) == ({"x": [1.0, 2.0]}, {})


def test_a_first_line_without_an_end_is_refused(source: Any) -> None:
    with pytest.raises(CannotScoreError, match="a row after byte 0 has more than 2000000 bytes"):
        source('{"x": "' + "y" * 3_000_000)


def test_a_row_longer_than_the_memory_allows_ends_the_run(source: Any) -> None:
    long = source({"id": 1}, *[{"id": 1}] * 200_000, {"id": "x" * 4_000_000})
    with pytest.raises(BrokenInputError, match=r"a row after byte \d+ has more than 2000000 bytes: --memory"):
        pieces(long)


def test_a_compressed_file_that_breaks_off_cannot_be_finished(tmp_path: Path) -> None:
    lines = b"".join(b'{"id": %d}\n' % (number * 7919 % 10_000_019) for number in range(200_000))
    whole = gzip.compress(lines)
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(whole[: len(whole) * 9 // 10])
    with pytest.raises(BrokenInputError, match="cannot be decompressed to its end"):
        pieces(opened(path))
