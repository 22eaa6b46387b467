from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.filter import parse_filter
from tfleet.bulk.inputs import ReadOptions, choose_rows, grouped, open_sources
from tfleet.bulk.model_columns import ModelColumns, model_columns
from tfleet.bulk.run import Rows
from tfleet.bulk.selection import Selection
from tfleet.bulk.sources.files import InputFile
from tfleet.bulk.sources.source import InputPlace, PieceLimits
from tfleet.worker.api.protocols.native.layout import RowLayout, row_layout
from tfleet.worker.model.signature import Signature, TensorInfo


def layout(*inputs: tuple[str, str, tuple[int | None, ...]], columns: tuple[str, ...] = ()) -> RowLayout:
    infos = tuple(TensorInfo(name, f"{name}:0", dtype, shape) for name, dtype, shape in sorted(inputs))
    return row_layout(Signature("s", infos, ()), columns)


TWO = layout(("a", "float32", (None,)), ("b", "int64", (None, 1)))
VECTOR = layout(("v", "float32", (None, 2)))
NAMED = layout(("v", "float32", (None, 2)), columns=("x", "y"))


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(name: str, rows: dict[str, Any] | str) -> InputFile:
        path = tmp_path / name
        if isinstance(rows, str):
            path.write_text(rows)
        else:
            pq.write_table(pa.table(rows), path)
        return InputFile(str(path))

    return write


def chosen(
    files: list[InputFile],
    model: RowLayout = TWO,
    *,
    keep: tuple[str, ...] | None = None,
    condition: str | None = None,
    predicted: tuple[str, ...] = ("label",),
) -> tuple[Rows, ModelColumns]:
    options = ReadOptions(keep=keep)
    sources = open_sources(grouped(files, None), model, options, PieceLimits(1000, 10**6))
    selection = Selection(None if condition is None else parse_filter(condition))
    columns = model_columns(model, sources[0].columns, sources[0].name)
    return choose_rows(sources, columns, options, selection, predicted), columns


def test_all_columns_are_kept(file: Any) -> None:
    rows, columns = chosen([file("f.parquet", {"id": [1], "b": [2], "a": [0.5]})])
    assert (rows.read, rows.keep) == (("id", "b", "a"), ("id", "b", "a"))
    assert (columns.names, columns.by_column) == (("a", "b"), False)


def test_only_what_is_needed_is_read(file: Any) -> None:
    rows, _ = chosen([file("f.csv", "id,q,b,a,w\n1,2,3,4,5\n")], keep=("w", "id"), condition="number(q) == 2")
    assert (rows.read, rows.keep) == (("id", "q", "b", "a", "w"), ("id", "w"))
    rows, _ = chosen([file("f.csv", "id,q,b,a,w\n1,2,3,4,5\n")], keep=("id",))
    assert rows.read == ("id", "b", "a")


def test_a_vector_has_the_columns_of_model_toml_or_its_own(file: Any) -> None:
    _, columns = chosen([file("f.csv", "y,x\n1,2\n")], NAMED)
    assert (columns.names, columns.by_column) == (("x", "y"), True)
    lists = pa.array([[1.0, 2.0]], pa.list_(pa.float64()))
    for model in (NAMED, VECTOR):
        _, columns = chosen([file("f.parquet", {"v": lists})], model)
        assert (columns.names, columns.by_column) == (("v",), False)


@pytest.mark.parametrize(
    ("name", "rows", "model", "reason"),
    [
        ("f.csv", "a,c\n1,2\n", TWO, r"f.csv lacks the columns 'b' that the model takes; it has 'a', 'c'"),
        ("f.csv", "x,z\n1,2\n", NAMED, r"f.csv lacks the columns 'y' that the model takes; it has 'x', 'z'"),
        (
            "f.csv",
            "x,y\n1,2\n",
            VECTOR,
            r"CSV has names, and the 2 values of the model's input 'v' have none",
        ),
        ("f.parquet", {"x": [1], "y": [2]}, VECTOR, "lacks the columns 'v' that the model takes"),
        (
            "f.parquet",
            {"a": ["1"], "b": [2]},
            TWO,
            r"column 'a' is string, and the model takes a float32\[\?\]",
        ),
        (
            "f.parquet",
            {"a": [1.0], "b": [2.0]},
            TWO,
            r"column 'b' is double, and the model takes b int64\[\?, 1\]",
        ),
        ("f.parquet", {"a": [True], "b": [2]}, TWO, "column 'a' is bool, and the model takes a float32"),
        ("f.csv", "a,b,label\n1,2,3\n", TWO, "has the column 'label', and the output gets one of that name"),
        (
            "f.csv",
            "a,b,_error\n1,2,3\n",
            TWO,
            "has the column '_error', and the output gets one of that name",
        ),
        ("f.csv", "a\n1\n", layout(("a", "float32", (3,))), "has rows, and the model's input 'a' has shape"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(
    file: Any, name: str, rows: Any, model: RowLayout, reason: str
) -> None:
    with pytest.raises(CannotScoreError, match=reason):
        chosen([file(name, rows)], model)


def test_a_column_in_the_way_may_be_left_out(file: Any) -> None:
    rows, _ = chosen([file("f.csv", "a,b,label\n1,2,3\n")], keep=("a",))
    assert rows.keep == ("a",)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"keep": ("q",)}, "--keep names 'q', which .*f.csv does not have; it has 'a', 'b'"),
        ({"condition": "q == 1"}, "--filter names 'q', which .*f.csv does not have; it has 'a', 'b'"),
        ({"condition": "a == 'x'"}, "compares values of different types"),
    ],
)
def test_names_that_are_not_there_are_refused(file: Any, options: Any, reason: str) -> None:
    with pytest.raises(CannotScoreError, match=reason):
        chosen([file("f.csv", "a,b\n1,2\n")], **options)


def test_files_may_order_their_columns_as_they_like(file: Any) -> None:
    files = [file("1.csv", "a,b\n1,2\n"), file("2.csv", "b,more,a\n3,4,5\n")]
    rows, _ = chosen(files, keep=("a", "b"))
    assert [piece.batch.to_pydict() for piece in rows.pieces(InputPlace(), 0)] == [
        {"a": [1.0], "b": [2]},
        {"a": [5.0], "b": [3]},
    ]


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("a,b\n1,2\n", "2.csv lacks the column 'id', which .*1.csv has"),
        ("a,b,id,c\n1,2,3,4\n", "2.csv has the column 'c', which .*1.csv lacks"),
        ({"a": [1.0], "b": [2], "id": ["3"]}, "2.csv has the column 'a' as double, and .*1.csv as float"),
    ],
)
def test_files_with_other_columns_are_refused(file: Any, second: Any, reason: str) -> None:
    with pytest.raises(CannotScoreError, match=reason):
        chosen([file("1.csv", "id,a,b\n1,2,3\n"), file("2.csv", second)])


def test_a_column_that_parquet_cannot_hold_is_refused(tmp_path: Path) -> None:
    table = pa.table({"a": [1.0], "b": [2], "span": pa.array([pa.MonthDayNano([1, 2, 3])])})
    with pa.ipc.new_file(tmp_path / "f.arrow", table.schema) as writer:
        writer.write_table(table)
    file = InputFile(str(tmp_path / "f.arrow"))
    with pytest.raises(
        CannotScoreError, match="column 'span' is month_day_nano_interval, which Parquet has not"
    ):
        chosen([file])
    rows, _ = chosen([file], keep=("a",))
    assert rows.keep == ("a",)
