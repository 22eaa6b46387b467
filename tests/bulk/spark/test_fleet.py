"""Tasks of Spark that ask a fleet instead of loading a model."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bulk.conftest import COLUMNS, IRIS
from tests.support.served_model import served_model
from tfleet.bulk.errors import CannotScoreError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]


def answers(frame: DataFrame) -> dict[int, tuple[str, float]]:
    return {row.id: (row.label, row.probability) for row in frame.collect()}


async def test_tasks_push_their_rows_to_a_worker_with_a_short_queue(
    spark: SparkSession, tmp_path: Path
) -> None:
    from tfleet.bulk.spark import score  # noqa: PLC0415 - imports pyspark

    sizes = zip(COLUMNS, (37, 41, 43, 47), strict=True)
    columns = (f"cast(id * {prime} % 80 / 10 as float) {name}" for name, prime in sizes)
    rows = spark.range(0, 20_000, 1, 4).selectExpr("id", *columns)
    # With a variable the worker is a process of its own, and no forked one.
    alone = {"TF_CPP_MIN_LOG_LEVEL": "1"}
    async with served_model(IRIS, "--max-queue", "2", cache=tmp_path / "cache", environment=alone) as ways:

        def scored() -> dict[int, tuple[str, float]]:
            table = score(rows, fleet=ways.p2p, fleet_model="iris", concurrency=8, batch_rows=100)
            assert table.columns == ["id", *COLUMNS, "label", "probability", "_error"]
            return answers(table)

        by_fleet = await asyncio.to_thread(scored)
        with pytest.raises(CannotScoreError, match="churn"):
            await asyncio.to_thread(lambda: score(rows, fleet=ways.p2p, fleet_model="churn"))
    by_model = await asyncio.to_thread(lambda: answers(score(rows.coalesce(1), model=IRIS)))
    assert {number: label for number, (label, _) in by_fleet.items()} == {
        number: label for number, (label, _) in by_model.items()
    }
    assert all(abs(by_fleet[number][1] - probability) < 1e-4 for number, (_, probability) in by_model.items())
