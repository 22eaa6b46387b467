"""What a Python worker refuses before it loads a model."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.bulk.conftest import COLUMNS, IRIS
from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.spark.python_worker import open_task
from tfleet.bulk.spark.settings import ExecutorModel, RowSettings, TaskSettings
from tfleet.worker.model.graph_options import GraphOptions


def settings(model: Path, seen_at: Path) -> TaskSettings:
    choice = ExecutorModel(model, seen_at, trust=False, graph=GraphOptions(*[None] * 8), sha256="0" * 64)
    return TaskSettings(choice, RowSettings(), pa.schema([(name, pa.float32()) for name in COLUMNS]))


def test_another_model_than_the_drivers_is_refused() -> None:
    with pytest.raises(CannotScoreError, match="is another model here than on the driver"):
        open_task(settings(IRIS, IRIS), 1)


def test_a_relative_path_is_looked_for_where_the_driver_works() -> None:
    with pytest.raises(CannotScoreError, match="is another model here than on the driver"):
        open_task(settings(Path("nowhere/iris"), IRIS), 1)


def test_a_model_that_is_not_there_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(CannotScoreError) as refused:
        open_task(settings(Path("nowhere"), tmp_path / "nowhere"), 1)
    assert str(refused.value).startswith(f"{tmp_path}/nowhere: an executor has no such file or folder: ")
