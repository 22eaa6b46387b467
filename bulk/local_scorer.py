"""Scores rows with a session in this process, as a worker would.

Rows are decoded and run by the worker's own code, so that a row gets the answer that a request would get. A
batch that fails is halved until the row that is the cause is alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.predictions import (
    LabelPredictions,
    OutputPredictions,
    PredictionColumns,
    output_schema,
    schema_of,
)
from tfleet.bulk.row_errors import NO_VALUE, without_row
from tfleet.bulk.scorer import ScoredBatch, scattered
from tfleet.client.row_shapes import same_shapes, table_shapes
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.native.arrow_input import decode_batches
from tfleet.worker.api.protocols.problems import place
from tfleet.worker.inference.errors import BadInputError

if TYPE_CHECKING:
    from tfleet.bulk.model_columns import ModelColumns
    from tfleet.worker.inference.loaded_model import LoadedModel

_Found = list[tuple[Sequence[int], pa.RecordBatch]]


class LocalScorer:
    """Scores with a model that is loaded and warm, in batches of up to `batch_rows` where that is right."""

    def __init__(
        self, model: LoadedModel, columns: ModelColumns, predictions: PredictionColumns, *, batch_rows: int
    ) -> None:
        self._model = model
        self.columns = columns
        self._signature = model.session.signature()
        self.predictions = predictions
        batched = self._signature.name in model.predictor.batched
        self.most_rows = batch_rows if batched else 1
        self.concurrency = model.concurrent_runs
        self._limits = InputLimits(rows=self.most_rows)

    def __repr__(self) -> str:
        return f"<LocalScorer {self._model!r} most_rows={self.most_rows}>"

    def score(self, batch: pa.RecordBatch, unread: Mapping[int, str]) -> ScoredBatch:
        """Score the rows, but those that are `unread`. Raises RunFailedError."""
        errors = dict(unread)
        rows = batch.select(list(self.columns.names))
        note_nulls(rows, errors)
        found: _Found = []
        good: Sequence[int] = range(batch.num_rows)
        if errors:
            good = [row for row in good if row not in errors]
        for indices in _alike(rows, good):
            self._score(rows, indices, found, errors)
        found.sort(key=lambda each: each[0][0])
        return ScoredBatch(scattered(found, batch.num_rows, self.predictions.schema), errors)

    def _score(
        self, rows: pa.RecordBatch, indices: Sequence[int], found: _Found, errors: dict[int, str]
    ) -> None:
        chosen = rows if len(indices) == rows.num_rows else rows.take(pa.array(indices))
        try:
            columns = self._run(chosen)
        except (ProblemError, BadInputError) as error:
            if len(indices) == 1:
                errors[indices[0]] = without_row(str(error))
                return
            half = len(indices) // 2
            self._score(rows, indices[:half], found, errors)
            self._score(rows, indices[half:], found, errors)
            return
        found.append((indices, pa.RecordBatch.from_arrays(columns, schema=self.predictions.schema)))

    def _run(self, rows: pa.RecordBatch) -> list[pa.Array]:
        columns = self.columns
        inputs = decode_batches([rows], columns.layout, self._limits, by_column=columns.by_column)
        result = self._model.predictor(self._signature.name, inputs, rows=None)
        return self.predictions.columns(result.outputs, rows.num_rows)


def note_nulls(rows: pa.RecordBatch, errors: dict[int, str]) -> None:
    """Note an error for each row that has a null in one of the model's columns."""
    for name, column in zip(rows.schema.names, rows.columns, strict=True):
        if column.null_count:
            for index in np.flatnonzero(pc.is_null(column).to_numpy(zero_copy_only=False)).tolist():
                errors.setdefault(index, f"{place(name, word='column')}: {NO_VALUE}")


def _alike(rows: pa.RecordBatch, good: Sequence[int]) -> Sequence[Sequence[int]]:
    """The indices of the good rows, those together whose lists have the same lengths: nothing is padded."""
    if not len(good):
        return []
    chosen = rows if len(good) == rows.num_rows else rows.take(pa.array(good))
    shapes = table_shapes(pa.Table.from_batches([chosen]))
    if shapes is None:
        return [good]
    return [[good[index] for index in group] for group in same_shapes(shapes, keep_order=False)]


def local_predictions(model: LoadedModel, top: int) -> PredictionColumns:
    """What becomes of a model's answers: `top` labels of each row, if it has labels.

    Raises CannotScoreError.
    """
    if model.scores is not None:
        return LabelPredictions(model.scores, min(top, len(model.scores.labels)))
    if top > 1:
        raise CannotScoreError("--top is the number of labels, and the model has none: leave it out")
    if model.predictor.postprocess is None:
        return OutputPredictions(output_schema(model.session.signature()))
    name = model.session.signature().name
    inputs = next((check.inputs for check in model.checks if check.signature == name), None)
    if inputs is None:
        raise CannotScoreError(
            "nothing says what output.function answers, as no generated row runs: put examples beside the "
            "model"
        )
    return OutputPredictions(schema_of(model.predictor(name, inputs, rows=None).outputs))
