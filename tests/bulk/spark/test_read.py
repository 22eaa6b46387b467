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

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]
HEADER = "id,sepal_length,sepal_width,petal_length,petal_width,note"


def scored(spark: SparkSession, inputs: list[Path], **options: Any) -> dict[str, Any]:
    """The rows by their first column."""
    from tfleet.bulk.spark.dataframe import executor_model, scored_table  # noqa: PLC0415 - imports pyspark
    from tfleet.bulk.spark.read import read_input  # noqa: PLC0415 - the same
    from tfleet.bulk.spark.settings import RowSettings  # noqa: PLC0415 - beside the others
    from tfleet.worker.model.graph_options import GraphOptions  # noqa: PLC0415 - the same

    read = read_input(spark, list(map(str, inputs)), ReadOptions(**options))
    model = None if read.form == "image" else IRIS
    choice = executor_model(model, GraphOptions(*[None] * 8), trust=False)
    rows = RowSettings(image_column=options.get("image_column"))
    table = scored_table(read.frame, choice, rows, options.get("keep"), texts=read.texts)
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
        "5": "the line cannot be read: '5,5.1,3.8'",
        "6": "the line cannot be read: '6,5.1,3.8,1.9,0.4,x,more'",
        "7": "column 'sepal_length': 1e+39 is out of range for float32 (up to 3.4028e+38)",
    }
    assert len(rows) == 7


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


def test_json_lines_are_read(spark: SparkSession, tmp_path: Path) -> None:
    good = '{"id": 1, "sepal_length": 5.1, "sepal_width": 3.8, "petal_length": 1.9, "petal_width": 0.4}'
    null = good.replace("5.1", "null").replace('"id": 1', '"id": 3')
    (tmp_path / "rows.jsonl").write_text(f'{good}\n{{"id": 2,\n{null}\n')
    rows = scored(spark, [tmp_path / "rows.jsonl"])
    assert {name: (row.label, row._error) for name, row in rows.items()} == {
        "1": ("setosa", None),
        "None": (None, "the line cannot be read: '{\"id\": 2,'"),
        "3": (None, "column 'sepal_length': no value"),
    }


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
