"""The functions that Spark calls in its Python workers."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

import pyarrow as pa

from tfleet.bulk.errors import CannotScoreError, RunFailedError
from tfleet.bulk.model_columns import column_infos, list_cells
from tfleet.bulk.spark.arrow_types import spark_schema
from tfleet.bulk.spark.python_worker import open_task
from tfleet.bulk.spark.rebatch import BatchLimits
from tfleet.bulk.spark.settings import TABLE, Answers, TaskSettings
from tfleet.bulk.spark.stream import RowStream
from tfleet.bulk.spark.text_rows import ReadRows
from tfleet.worker.model.errors import ModelError

ANSWERS_SCHEMA: Final = "error string, answers binary"


@dataclass(frozen=True)
class AskModel:
    """Opens the model in one Python worker, and says what it takes and answers.

    So the driver needs no TensorFlow, and what is wrong with the model or the table is told before the first
    row is read.
    """

    settings: TaskSettings

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One row with the answers, or with the error."""
        for _ in batches:
            pass
        try:
            answers, error = pickle.dumps(self._answers()), None
        except (CannotScoreError, ModelError, RunFailedError) as problem:
            answers, error = None, str(problem)
        yield pa.record_batch(
            {"error": pa.array([error], pa.string()), "answers": pa.array([answers], pa.binary())}
        )

    def _answers(self) -> Answers:
        opened = open_task(self.settings, task_cpus())
        predictions, schema, text = opened.scorer.predictions, self.settings.schema, self.settings.text
        infos = {} if opened.layout is None else column_infos(opened.layout)
        lists = {} if opened.layout is None else list_cells(opened.layout)
        if text is not None:
            schema = ReadRows(text, text.columns, infos, lists).schema
        opened.columns.check(schema, TABLE)
        return Answers(
            spark_schema(predictions.schema),
            pa.schema([schema.field(name) for name in opened.columns.names]),
            predictions.label,
            predictions.probability,
            opened.layout is None,
            opened.fleet_model,
            infos,
            lists,
        )


@dataclass(frozen=True)
class ScoreRows:
    """Scores the rows of a task, whose columns come in the order of the settings' schema, or are to `read`.

    What it gives depends on its rows alone, so it may run twice.
    """

    settings: TaskSettings
    keep: tuple[str, ...]
    predictions: pa.Schema
    read: ReadRows | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows with their predictions. Raises CannotScoreError, ModelError and RunFailedError."""
        if self.read is not None:
            batches = self.read(batches)
        else:
            names = self.settings.schema.names
            batches = (batch.rename_columns(names) for batch in batches)
        first = next((batch for batch in batches if batch.num_rows), None)
        if first is None:
            return  # a partition without rows needs no model
        opened = open_task(self.settings, task_cpus())
        if spark_schema(opened.scorer.predictions.schema) != self.predictions:
            raise CannotScoreError(
                "the model answers with other columns on this machine than on the one that was asked first: "
                "every machine needs the same versions of tfleet and TensorFlow"
            )
        limits = BatchLimits(opened.scorer.most_rows, self.settings.rows.batch_bytes, opened.tensor_bytes)
        stream = RowStream(opened.scorer, self.keep, limits)
        yield from stream.scored(chain([first], batches))


def task_cpus() -> int:
    """How many CPUs the task has: `spark.task.cpus`, or what its resource profile says."""
    from pyspark import TaskContext  # noqa: PLC0415 - there is one in a Python worker only

    context = TaskContext.get()
    assert context is not None, "tasks run in Python workers"
    return int(context.cpus())
