"""`score` with a real Spark on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.bulk.conftest import COLUMNS, IRIS, flowers
from tests.bulk.spark.conftest import WatchedModel
from tests.support.photos import PHOTOS
from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.spark import score
from tfleet.bulk.spark.problems import line_of
from tfleet.bulk.spark.settings import RowSettings
from tfleet.worker.model.graph_options import GraphOptions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]


@pytest.fixture
def settings(spark: SparkSession) -> Iterator[Any]:
    """The settings of the session; what a test changes is put back."""
    before: dict[str, str | None] = {}

    def change(name: str, value: str) -> None:
        before[name] = spark.conf.get(name, None)
        spark.conf.set(name, value)

    yield change
    for name, value in before.items():
        if value is None:
            spark.conf.unset(name)
        else:
            spark.conf.set(name, value)


def numbers(spark: SparkSession, rows: int, partitions: int = 4) -> DataFrame:
    """Rows with an `id`; their sums are 1,000 and more."""
    ids = spark.range(0, rows, 1, partitions)
    return ids.selectExpr("id", "cast(id as float) a", "1000f b", "concat('row ', id) name")


def sums(frame: DataFrame) -> list[tuple[int, float]]:
    return sorted((row.id, row.sum) for row in frame.collect())


def test_each_row_is_scored_once_by_models_loaded_once(spark: SparkSession, watched: WatchedModel) -> None:
    scored = score(numbers(spark, 30_000, partitions=8), model=watched.folder, trust=True)
    assert scored.columns == ["id", "a", "b", "name", "sum", "_error"]
    assert sums(scored) == [(number, number + 1000.0) for number in range(30_000)]
    assert sorted(watched.scored) == [number + 1000.0 for number in range(30_000)]
    assert watched.loads <= 2


def test_answers_are_those_of_tfleet_score(spark: SparkSession, score: Any, tmp_path: Path) -> None:
    from tfleet.bulk.spark.dataframe import score as score_table  # noqa: PLC0415 - the fixture has its name

    (tmp_path / "rows.csv").write_text(flowers(5000))
    assert score(tmp_path / "rows.csv", "-o", tmp_path / "out", "--model", IRIS).returncode == 0
    rows = spark.read.csv(str(tmp_path / "rows.csv"), header=True, inferSchema=True)
    ours = score_table(rows, model=IRIS, batch_rows=4096).orderBy("id").collect()
    theirs = spark.read.parquet(str(tmp_path / "out")).selectExpr("*").collect()
    theirs.sort(key=lambda row: int(row.id))
    assert [row.label for row in ours] == [row.label for row in theirs]
    assert [row.probability for row in ours] == pytest.approx([row.probability for row in theirs], abs=1e-6)


def test_how_spark_cuts_batches_changes_no_bit(spark: SparkSession, settings: Any) -> None:
    rows = spark.range(0, 3000, 1, 2).selectExpr("id", *(f"rand({n}) * 8 {c}" for n, c in enumerate(COLUMNS)))
    whole = {row.id: row.probability for row in score(rows, model=IRIS).collect()}
    settings("spark.sql.execution.arrow.maxRecordsPerBatch", "7")
    assert {row.id: row.probability for row in score(rows, model=IRIS).collect()} == whole


def test_rows_that_cannot_be_scored_are_kept(spark: SparkSession, watched: WatchedModel) -> None:
    rows = numbers(spark, 1000).selectExpr(
        "id", "if(id % 100 = 7, null, cast(if(id = 50, 1e300, id) as double)) a", "b"
    )
    found = {row.id: row for row in score(rows, model=watched.folder, trust=True).collect()}
    bad = {number for number in range(1000) if number % 100 == 7 or number == 50}
    assert {number for number, row in found.items() if row._error} == bad
    assert {number for number, row in found.items() if row.sum is None} == bad
    assert found[7]._error == "column 'a': no value"
    assert found[50]._error.startswith("column 'a': 1e+300 is out of range")
    assert len(found) == 1000


@pytest.mark.parametrize("rows", [0, 1, 4097])
def test_a_few_rows_are_scored_as_many_are(spark: SparkSession, watched: WatchedModel, rows: int) -> None:
    scored = score(numbers(spark, rows, partitions=3), model=watched.folder, trust=True)
    assert sums(scored) == [(number, number + 1000.0) for number in range(rows)]


def test_a_limit_before_scores_no_more_rows(spark: SparkSession, watched: WatchedModel) -> None:
    first = score(numbers(spark, 30_000).limit(10), model=watched.folder, trust=True)
    assert len(first.collect()) == 10
    assert len(watched.scored) == 10


def test_a_killed_python_worker_costs_no_row(spark: SparkSession, watched: WatchedModel) -> None:
    scored = score(numbers(spark, 20_000, partitions=4), model=watched.folder, trust=True)
    watched.kill_at_1000()
    assert sums(scored) == [(number, number + 1000.0) for number in range(20_000)]
    assert not (watched.logs / "kill").exists()
    assert watched.loads <= 4


def test_a_row_that_kills_each_attempt_ends_the_job(
    spark: SparkSession, watched: WatchedModel, tmp_path: Path
) -> None:
    from py4j.protocol import Py4JJavaError  # noqa: PLC0415 - an extra

    scored = score(numbers(spark, 2000, partitions=2), model=watched.folder, trust=True)
    watched.kill_each_at_1000()
    with pytest.raises(Py4JJavaError) as caught:
        scored.write.parquet(str(tmp_path / "out"))
    assert watched.killed == 3  # as the session's master says; spark.task.maxFailures on a cluster
    assert line_of(caught.value).startswith("the Python worker of a task died 3 times")
    assert not (tmp_path / "out" / "_SUCCESS").exists()


def test_columns_are_kept_as_they_are(spark: SparkSession) -> None:
    rows = spark.sql(
        "select 1.0f `sepal_length`, 2.0f sepal_width, 3.0f petal_length, 0.5f petal_width, "
        "cast('12.34' as decimal(10,2)) price, timestamp '2026-01-02 03:04:05' t, array(1, null) list, "
        "named_struct('x', 1, 'y', 'z') pair, map('k', 1) more, cast(null as string) nothing, true flag, "
        "date '2026-01-02' day, X'00ff' raw, 1 `with.dot`, interval 3 days i"
    )
    scored = score(rows, model=IRIS)
    (before,), (after,) = rows.collect(), scored.collect()
    assert after.asDict() == before.asDict() | {
        name: after[name] for name in ("label", "probability", "_error")
    }
    assert scored.schema.fields[: len(rows.columns)] == rows.schema.fields


def test_only_what_is_kept_is_in_the_result(spark: SparkSession, watched: WatchedModel) -> None:
    scored = score(numbers(spark, 5), model=watched.folder, trust=True, keep=["name"])
    assert scored.columns == ["name", "sum", "_error"]
    assert sorted(row.sum for row in scored.collect()) == [1000, 1001, 1002, 1003, 1004]


def test_images_come_as_paths_and_as_bytes(spark: SparkSession, tmp_path: Path, settings: Any) -> None:
    (tmp_path / "photos").mkdir()
    for name, path in PHOTOS.items():
        (tmp_path / "photos" / f"{name} 1.jpg").write_bytes(path.read_bytes())
    broken = next(iter(PHOTOS.values())).read_bytes()[:2000]
    (tmp_path / "photos" / "broken.jpg").write_bytes(broken)
    settings("spark.sql.execution.arrow.maxBytesPerBatch", "1000000")
    table = spark.read.format("binaryFile").load(str(tmp_path / "photos"))
    by_path = score(table, keep=["path", "length"])
    by_content = score(table, keep=["path"], image_column="content")
    labels = {row.path: (row.label, row._error) for row in by_path.collect()}
    assert {row.path: (row.label, row._error) for row in by_content.collect()} == labels
    assert len(labels) == len(PHOTOS) + 1
    (bad,) = [path for path, (label, error) in labels.items() if label is None]
    assert bad.endswith("broken.jpg")
    assert labels[bad][1]


def test_images_in_large_batches_are_warned_of(spark: SparkSession, settings: Any) -> None:
    table = spark.read.format("binaryFile").load(str(next(iter(PHOTOS.values()))))
    score(table.select("content"), image_column="content")  # a warning is an error: tfleet score sets it
    settings("spark.sql.execution.arrow.maxBytesPerBatch", str(2**31 - 1))
    with pytest.warns(UserWarning, match="maxBytesPerBatch to 67108864"):
        score(table.select("content"), image_column="content")


def test_batches_have_no_more_bytes_than_allowed(spark: SparkSession, watched: WatchedModel) -> None:
    rows = numbers(spark, 2000)
    assert len(score(rows, model=watched.folder, trust=True, batch_bytes=1000).collect()) == 2000
    assert sum(watched.batches) == 2000
    assert 10 < max(watched.batches) < 50  # a row has some 40 bytes


def test_a_task_has_the_threads_of_its_cpus(spark: SparkSession) -> None:
    def ask(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow as pa  # noqa: PLC0415 - it runs in a Python worker

        from tfleet.bulk.spark.tasks import task_cpus  # noqa: PLC0415 - the same

        for batch in batches:
            yield pa.record_batch({"cpus": [task_cpus()] * batch.num_rows})

    assert [row.cpus for row in spark.range(3).mapInArrow(ask, "cpus long").collect()] == [2, 2, 2]


def test_executors_fetch_a_model_from_its_url(
    spark: SparkSession, watched: WatchedModel, executors_cache: Path
) -> None:
    scored = score(numbers(spark, 100), model=f"file://{watched.folder}", trust=True)
    assert sums(scored) == [(number, number + 1000.0) for number in range(100)]
    assert list(executors_cache.rglob("saved_model.pb"))


def test_executors_refuse_another_model_than_the_drivers(spark: SparkSession) -> None:
    from tfleet.bulk.spark.dataframe import executor_model, scored_table  # noqa: PLC0415 - imports pyspark

    choice = executor_model(IRIS, GraphOptions(*[None] * 8), trust=False)
    table = spark.sql("select 1f sepal_length, 2f sepal_width, 3f petal_length, 4f petal_width")
    with pytest.raises(CannotScoreError, match=r"graph\.pb: is another model here than on the driver"):
        scored_table(table, replace(choice, sha256="0" * 64), RowSettings(), None)


@pytest.mark.parametrize("kind", ["interval 1 month", "array(interval 2 years)"])
def test_columns_that_spark_does_not_give_are_refused(spark: SparkSession, kind: str) -> None:
    table = spark.sql(f"select 1f sepal_length, 2f sepal_width, 3f petal_length, 4f petal_width, {kind} age")
    with pytest.raises(CannotScoreError, match=r"types Spark gives no Python worker: 'age' \(.*interval"):
        score(table, model=IRIS)
    (row,) = score(table, model=IRIS, keep=["sepal_length"]).collect()
    assert row.label == "virginica"


@pytest.mark.parametrize(
    ("columns", "arguments", "said"),
    [
        (["id", "a"], {}, "the table lacks the columns 'b' that the model takes; it has 'id', 'a'"),
        (["a", "b"], {"keep": ["c"]}, "--keep names 'c'"),
        (["a", "b", "id sum"], {}, "the table has the column 'sum'"),
        (["a", "b", "id SUM"], {}, "the table has the column 'SUM'"),
        (["name a", "b"], {}, "the table: column 'a' is string, and the model takes a float32"),
        (["a", "b", "id x", "id x"], {}, "the table has several columns called 'x'"),
        (["a", "b"], {"top": 3}, "--top is the number of labels, and the model has none"),
    ],
)
def test_what_can_never_work_is_refused_at_once(
    spark: SparkSession, watched: WatchedModel, columns: list[str], arguments: dict[str, Any], said: str
) -> None:
    table = numbers(spark, 5).selectExpr(*columns)
    with pytest.raises(CannotScoreError) as refused:
        score(table, model=watched.folder, trust=True, **arguments)
    assert str(refused.value).startswith(said)
