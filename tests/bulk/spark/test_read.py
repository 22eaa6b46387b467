"""What `tfleet score --spark` reads, with a real Spark."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bulk.conftest import COLUMNS, IRIS
from tests.support.photos import PHOTOS
from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.inputs import ReadOptions
from tfleet.bulk.spark.line_stream import LINE
from tfleet.bulk.spark.settings import UNREAD, TextForm
from tfleet.bulk.spark.text_rows import BEGIN, FILE, FILE_HASH, ReadRows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

try:
    from pyspark.errors import PySparkException
except ModuleNotFoundError:  # an extra; the tests are skipped
    PySparkException = RuntimeError

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]
HEADER = "id,sepal_length,sepal_width,petal_length,petal_width,note"


def scored(
    spark: SparkSession, inputs: list[Path], limit: int | None = None, **options: Any
) -> dict[str, Any]:
    """The rows by their first column."""
    from tfleet.bulk.spark.dataframe import executor_model, scored_table  # noqa: PLC0415 - imports pyspark
    from tfleet.bulk.spark.read import read_input  # noqa: PLC0415 - the same
    from tfleet.bulk.spark.settings import RowSettings  # noqa: PLC0415 - beside the others
    from tfleet.worker.model.graph_options import GraphOptions  # noqa: PLC0415 - the same

    read = read_input(spark, list(map(str, inputs)), ReadOptions(**options))
    model = None if read.form == "image" else IRIS
    choice = executor_model(model, GraphOptions(*[None] * 8), trust=False)
    rows = RowSettings(image_column=options.get("image_column"))
    table = scored_table(read.frame, choice, rows, options.get("keep"), text=read.text, limit=limit)
    return {str(row[0]): row for row in table.frame.collect()}


def test_csv_is_read_as_tfleet_score_reads_it(spark: SparkSession, tmp_path: Path) -> None:
    lines = [
        HEADER,
        '1,5.1,3.8,1.9,0.4,"say ""hi"", and go"',
        "2,5.1,3.8,1.9,0.4,",
        "3,wide,3.8,1.9,0.4,x",
        "4,,3.8,1.9,0.4,x",
        "5,5.1,3.8",
        "6,5.1,3.8,1.9,0.4,x,more",
        "7,1e39,3.8,1.9,0.4,x",
    ]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    rows = scored(spark, [tmp_path / "rows.csv"])
    assert rows["1"].asDict() == {
        "id": "1",
        "sepal_length": pytest.approx(5.1),
        "sepal_width": pytest.approx(3.8),
        "petal_length": pytest.approx(1.9),
        "petal_width": pytest.approx(0.4),
        "note": 'say "hi", and go',
        "label": "setosa",
        "probability": rows["1"].probability,
        "_error": None,
    }
    assert {name: row._error for name, row in rows.items() if row._error} == {
        "3": "column 'sepal_length': 'wide' is no float32",
        "4": "column 'sepal_length': no value",
        "None": "the row has 7 values, and the header 6 columns",
        "7": "column 'sepal_length': 1e+39 is out of range for float32 (up to 3.4028e+38)",
    }
    assert len(rows) == 6


def test_quoted_cells_of_csv_may_have_line_ends(spark: SparkSession, tmp_path: Path) -> None:
    lines = [HEADER, '1,5,3,1,0.2,"one\r\n7,5,3,1,0.2,two"', '2,5,3,1,0.2,"a"b', '3,5,3,1,0.2,5" pipe', ""]
    (tmp_path / "rows.csv").write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    rows = scored(spark, [tmp_path / "rows.csv"])
    notes = {"1": "one\r\n7,5,3,1,0.2,two", "2": "ab", "3": '5" pipe'}
    assert {name: row.note for name, row in rows.items()} == notes
    assert {row.label for row in rows.values()} == {"setosa"}


def test_a_quote_without_an_end_ends_the_run(spark: SparkSession, tmp_path: Path) -> None:
    from tfleet.bulk.spark.problems import explained  # noqa: PLC0415 - beside the others

    (tmp_path / "rows.csv").write_text(f'{HEADER}\n1,5,3,1,0.2,"x\n2,5,3,1,0.2,y\n')
    with pytest.raises(PySparkException) as failed:
        scored(spark, [tmp_path / "rows.csv"])
    assert "rows.csv: a quoted value after byte" in (explained(str(failed.value)) or "")


def test_large_csv_files_are_not_cut(spark: SparkSession, tmp_path: Path) -> None:
    note = '"' + "\n1,5,3,1,0.2,x\n" * 1000 + '"'
    for name in ("a", "b"):
        rows = (f"{name}{number},5,3,1,0.2,{note}" for number in range(200))  # 3 MB
        (tmp_path / f"{name}.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    found = scored(spark, [tmp_path], keep=("id",))
    assert len(found) == 400
    assert sorted({name[0] for name in found}) == ["a", "b"]


def test_columns_of_csv_files_are_found_by_name(spark: SparkSession, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", "1", "2")
    (tmp_path / "b.csv").write_text(
        "petal_width,petal_length,sepal_width,sepal_length,note,id\n0.4,1.9,3.8,5.1,x,3\n"
    )
    rows = scored(spark, [tmp_path])
    assert {row.probability for row in rows.values()} == {rows["1"].probability}
    (tmp_path / "c.csv").write_text(f"{HEADER},extra\n4,5.1,3.8,1.9,0.4,x,y\n")
    assert len(scored(spark, [tmp_path], keep=("id",))) == 4


def csv_lines(*names: str) -> pa.RecordBatch:
    """A task's lines of these CSV files."""
    count = len(names)
    files = pa.array([f"file:///{names[0]}.csv", *[None] * (count - 1)], pa.string())
    lines = pa.array([b"x,y", *[b"1,2"] * (count - 1)], pa.binary())
    hashes = pa.array([hash(name) % 1000 for name in names], pa.int32())
    return pa.record_batch({LINE: lines, FILE: files, FILE_HASH: hashes, BEGIN: [0] * count})


def test_csv_files_with_other_columns_are_refused() -> None:
    def rows(columns: tuple[str, ...], known: tuple[str, ...]) -> list[dict[str, Any]]:
        read = ReadRows(TextForm(",", known, all_columns=True), columns, {}, {})
        return [row for batch in read([csv_lines("a", "a")]) for row in batch.to_pylist()]

    assert rows(("y",), ("y", "x")) == [{"y": "2", UNREAD: None}]
    with pytest.raises(CannotScoreError, match=r"/a.csv lacks the column 'z', which another file has: score"):
        rows(("x", "y", "z"), ("x", "y", "z"))
    with pytest.raises(CannotScoreError, match=r"/a.csv has the column 'y', which another file lacks: score"):
        rows(("x",), ("x",))


def test_a_csv_file_in_pieces_is_refused() -> None:
    read = ReadRows(TextForm(",", ("x", "y")), ("x",), {}, {})
    cut = csv_lines("a", "a").set_column(3, BEGIN, pa.array([9, 9]))
    for batch in (csv_lines("a", "b"), cut):
        with pytest.raises(CannotScoreError, match="Spark has cut a CSV file, or joined several"):
            list(read([batch]))


def test_a_limit_counts_rows_and_no_lines(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(f'{HEADER}\n1,5,3,1,0.2,"two\nlines"\n2,5,3,1,0.2,\n3,5,3,1,0.2,\n')
    assert sorted(scored(spark, [tmp_path / "rows.csv"], limit=2)) == ["1", "2"]


def test_folders_and_patterns_of_compressed_files_are_read(spark: SparkSession, tmp_path: Path) -> None:
    for number in range(3):
        with gzip.open(tmp_path / f"rows-{number}.tsv.gz", "wt") as file:
            file.write(HEADER.replace(",", "\t") + f"\n{number}\t5.1\t3.8\t1.9\t0.4\tx\n")
    for inputs in ([tmp_path], [tmp_path / "rows-*.tsv.gz"]):
        assert [row.label for row in scored(spark, inputs).values()] == ["setosa"] * 3


def write_csv(path: Path, *names: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *(f"{name},5.1,3.8,1.9,0.4,x" for name in names)]) + "\n")


def write_parquet(path: Path, **columns: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    floats = {name: pa.array([1.0], pa.float32()) for name in COLUMNS}
    pq.write_table(pa.table({name: values for name, values in (floats | columns).items() if values}), path)


def test_folders_below_a_folder_are_read(spark: SparkSession, tmp_path: Path) -> None:
    write_csv(tmp_path / "csv" / "a.csv", "1")
    write_csv(tmp_path / "csv" / "below" / "b.csv", "2")
    write_csv(tmp_path / "csv" / "_temporary" / "c.csv", "3")
    assert sorted(scored(spark, [tmp_path / "csv"])) == ["1", "2"]
    for name in ("a b", "b%20"):
        write_parquet(tmp_path / "parquet" / name / "part.parquet", id=[name])
    assert sorted(scored(spark, [tmp_path / "parquet"], keep=("id",))) == ["a b", "b%20"]


def test_a_file_whose_name_is_a_pattern_is_read(spark: SparkSession, tmp_path: Path) -> None:
    write_csv(tmp_path / "rows[1].csv", "this one")
    write_csv(tmp_path / "rows1.csv", "another one")
    assert list(scored(spark, [tmp_path / "rows[1].csv"])) == ["this one"]
    assert len(scored(spark, [tmp_path / "rows*.csv"])) == 2


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"extra": ["x"]}, "a.parquet lacks the column 'extra', which file:.*b.parquet has: score them by"),
        ({"petal_width": []}, "b.parquet lacks the column 'petal_width', which file:.*a.parquet has"),
        ({"petal_width": [1.0]}, "b.parquet has the column 'petal_width' of another type than file:.*a.par"),
    ],
)
def test_parquet_files_have_to_have_the_same_columns(
    spark: SparkSession, tmp_path: Path, columns: dict[str, list[Any]], said: str
) -> None:
    write_parquet(tmp_path / "a.parquet", id=[1])
    write_parquet(tmp_path / "b.parquet", id=[2], **columns)
    with pytest.raises(CannotScoreError, match=said):
        scored(spark, [tmp_path])


def test_parquet_columns_may_have_any_order(spark: SparkSession, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", id=[1])
    floats = [pa.field(name, pa.float32(), nullable=False) for name in COLUMNS]
    rows = [{"id": 2, **dict.fromkeys(COLUMNS, 1.0)}]
    table = pa.Table.from_pylist(rows, pa.schema([pa.field("id", pa.int64()), *floats]))
    pq.write_table(table, tmp_path / "b.parquet")
    rows_by_id = scored(spark, [tmp_path], keep=("id",))
    assert {name: row.label for name, row in rows_by_id.items()} == {"1": "setosa", "2": "setosa"}


def test_json_lines_are_read_as_tfleet_score_reads_them(spark: SparkSession, tmp_path: Path) -> None:
    sizes = '"sepal_length": 5.1, "sepal_width": 3.8, "petal_length": 1.9, "petal_width": 0.4'
    good = f'{{"id": 9007199254740993, {sizes}}}'

    def bad(name: str, value: str, more: str = "") -> str:
        return good.replace("5.1", value).replace("9007199254740993", f'"{name}"{more}')

    lines = [good, bad("null", "null"), "", bad("text", '"wide"'), bad("true", "true"), bad("1.5", "5.1")]
    late = bad("late", "5.1", ', "more": 1')
    padding = [bad(f"{number}", "5.1") + " " * 1000 for number in range(2000)]  # 2 MB
    (tmp_path / "rows.jsonl").write_text("\n".join([*lines, '{"id": 2,', *padding, late]))
    rows = scored(spark, [tmp_path / "rows.jsonl"])
    assert {name: row._error for name, row in rows.items() if row._error or row.label is None} == {
        "null": "column 'sepal_length': no value",
        "text": "column 'sepal_length': the string 'wide' is not a number: send float32 without quotes",
        "true": "column 'sepal_length': true is not a number, and the model takes float32",
        "None": rows["None"]._error,
        "late": "the row has 'more', which none of the first rows has: choose columns with --keep",
    }
    assert rows["None"]._error.startswith("the line is not JSON: ")
    assert {"9007199254740993", "1.5"} < set(rows)
    assert len(rows) == 2007
    assert scored(spark, [tmp_path / "rows.jsonl"], keep=("id",))["late"].label == "setosa"


def test_each_json_file_may_begin_with_a_bom(spark: SparkSession, tmp_path: Path) -> None:
    row = '{"id": 1, "sepal_length": 5, "sepal_width": 3, "petal_length": 1, "petal_width": 0.2}\n'
    for name in ("1", "2"):
        (tmp_path / f"{name}.jsonl").write_text("\ufeff" + row.replace("1", name, 1))
    assert {name: row._error for name, row in scored(spark, [tmp_path]).items()} == {"1": None, "2": None}


def test_photos_of_a_folder_are_read(spark: SparkSession, tmp_path: Path) -> None:
    below = tmp_path / "photos" / "below"
    below.mkdir(parents=True)
    photo = next(iter(PHOTOS.values())).read_bytes()
    (below / "a b.JPG").write_bytes(photo)
    (tmp_path / "photos" / "broken.jpg").write_bytes(photo[:500])
    (tmp_path / "photos" / "notes.txt").write_text("no photo")
    by_path = scored(spark, [tmp_path / "photos"], keep=("path",))
    assert sorted(Path(name).name for name in by_path) == ["a b.JPG", "broken.jpg"]
    assert [bool(row.label) for _, row in sorted(by_path.items())] == [True, False]


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        ({"a.csv": HEADER, "b.jsonl": "{}"}, {}, "they are csv and jsonl: give --format"),
        ({"a": "x"}, {}, "their names do not say what they are: give --format"),
        ({"a.arrow": "x"}, {}, "Spark does not read Arrow files"),
    ],
)
def test_what_cannot_be_read_is_refused(
    spark: SparkSession, tmp_path: Path, files: dict[str, str], options: dict[str, Any], said: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(CannotScoreError, match=said):
        scored(spark, [tmp_path], **options)


def test_names_that_spark_reads_otherwise_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    write_csv(tmp_path / "_rows.csv", "1")
    with pytest.raises(
        CannotScoreError, match=r"_rows\.csv: Spark leaves out files whose names begin with _"
    ):
        scored(spark, [tmp_path / "_rows.csv"])
    with pytest.raises(CannotScoreError, match=r"csv: Spark's patterns have no \*\*: name the folder"):
        scored(spark, [tmp_path / "**" / "*.csv"])
