from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.json_lines import JsonLinesSource
from tfleet.bulk.sources.source import InputPlace, Piece, PieceLimits
from tfleet.worker.model.signature import TensorInfo

INFOS = {
    name: TensorInfo(name, f"{name}:0", dtype, (None,))
    for name, dtype in {"x": "float32", "n": "int8", "w": "string", "b": "bool"}.items()
}
LISTS = {"v": pa.list_(pa.float32())}


@pytest.fixture
def source(tmp_path: Path) -> Any:
    def make(*lines: Any, all_fields: bool = True) -> JsonLinesSource:
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (tmp_path / "rows.jsonl").write_text("\n".join(texts))
        file = InputFile(str(tmp_path / "rows.jsonl"))
        return JsonLinesSource(file, 0, PieceLimits(1000, 10**6), INFOS, LISTS, all_fields=all_fields)

    return make


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
        {"id": "7", "more": '{"a":[1,null]}'} | nothing,
    ]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('{"x": "1"}', "column 'x': the string '1' is not a number: send float32 without quotes"),
        ('{"n": 1.5}', "column 'n': 1.5 is not an integer, and the model takes int8"),
        ('{"n": 300}', "column 'n': 300 is out of range for int8 (-128 to 127)"),
        ('{"b": 1}', "column 'b': 1 is not true or false"),
        ('{"v": [1, "2"]}', "column 'v': is no list<item: float>"),
        ('{"x": 1', "the line is not JSON: unexpected end of data"),
        ("[1]", "the line is no JSON object"),
    ],
)
def test_a_wrong_value_is_an_error_of_its_row_alone(source: Any, line: str, error: str) -> None:
    good = {"x": 1, "n": 2, "b": True, "v": [3]}
    (piece,) = pieces(source(good, line, "", good))
    assert piece.errors == {1: error}
    assert [row["v"] for row in piece.batch.to_pylist()][::2] == [[3.0], [3.0]]


def test_a_field_that_comes_too_late_is_not_lost_in_silence(source: Any) -> None:
    lines = [{"id": "x" * 1000}] * 1500 + [{"id": "y", "late": 1}]
    found = pieces(source(*lines))
    assert {piece.first_row + row: text for piece in found for row, text in piece.errors.items()} == {
        1500: "the row has 'late', which no row of the first 1048576 bytes has: choose columns with --keep"
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
    with pytest.raises(CannotScoreError, match="a row after byte 0 has more than 67108864 bytes"):
        source('{"x": "' + "y" * 70_000_000)
