"""Tasks of Spark that ask a fleet instead of loading a model."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bulk.conftest import COLUMNS, IRIS
from tests.support.canned_server import nobody
from tests.support.fleet_processes import Fleet, fleet, registry_process
from tests.support.served_model import served_model
from tests.support.waiting import eventually
from tfleet.bulk.errors import CannotScoreError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]
# With a variable the worker is a process of its own, and no forked one.
_ALONE = {"TF_CPP_MIN_LOG_LEVEL": "1"}


def answers(frame: DataFrame) -> dict[int, tuple[str, float]]:
    return {row.id: (row.label, row.probability) for row in frame.collect()}


async def test_tasks_push_their_rows_to_a_worker_with_a_short_queue(
    spark: SparkSession, tmp_path: Path
) -> None:
    from tfleet.bulk.spark import score  # noqa: PLC0415 - imports pyspark

    sizes = zip(COLUMNS, (37, 41, 43, 47), strict=True)
    columns = (f"cast(id * {prime} % 80 / 10 as float) {name}" for name, prime in sizes)
    rows = spark.range(0, 20_000, 1, 4).selectExpr("id", *columns)
    async with served_model(IRIS, "--max-queue", "2", cache=tmp_path / "cache", environment=_ALONE) as ways:

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


@contextlib.asynccontextmanager
async def two_proxies(model: Path) -> AsyncIterator[tuple[Fleet, str]]:
    """A fleet with a worker, and the address of its proxy in p2p mode."""
    registry, direct = nobody(), nobody()
    with registry_process(registry):
        async with fleet(f"consul://{registry}", model, workers=0) as running:
            running.add_proxy(direct, "--mode", "p2p")
            running.add_worker("--trust", environment=_ALONE, forked=False)
            await running.ready(1)
            yield running, direct.url


@pytest.fixture
def versions(tmp_path: Path) -> tuple[Path, Path]:
    """Two versions of a model. The second one's sums are twice as large."""
    from tests.support.tensor_models import write_arithmetic  # noqa: PLC0415 - TensorFlow takes seconds

    first, second = (write_arithmetic(tmp_path / "sums" / version) for version in ("1", "2"))
    code = 'def twice(outputs):\n    return {**outputs, "sum": outputs["sum"] * 2}\n'
    (second / "twice.py").write_text(code)
    (second / "model.toml").write_text('[output]\nfunction = "twice.py:twice"\n')
    return first, second


async def test_rows_are_scored_by_the_version_that_the_driver_asked(
    spark: SparkSession, versions: tuple[Path, Path]
) -> None:
    from tfleet.bulk.spark import score  # noqa: PLC0415 - imports pyspark

    first, second = versions
    rows = spark.range(0, 100, 1, 2).selectExpr("cast(id as float) a", "1f b")
    async with two_proxies(first) as (running, direct):

        def asked() -> DataFrame:
            return score(rows, fleet=direct, fleet_model="sums")

        def is_twice() -> bool:
            return bool(sum(row.sum for row in asked().collect()) == 2 * 5050)

        table = await asyncio.to_thread(asked)
        running.add_worker("--model", str(second), "--trust", environment=_ALONE, forked=False)
        await running.ready(2)
        await eventually(lambda: asyncio.to_thread(is_twice), timeout_s=60)
        sums = await asyncio.to_thread(lambda: sorted(row.sum for row in table.collect()))
    assert sums == [number + 1.0 for number in range(100)]
