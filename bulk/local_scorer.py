"""Scores rows with a session in this process, as a worker would.

Rows are decoded and run by the worker's own code, so that a row gets the answer that a request would get.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.isolation import RejectedRowsError, score_isolated
from tfleet.bulk.predictions import (
    LabelPredictions,
    OutputColumns,
    OutputPredictions,
    output_schema,
    schema_of,
)
from tfleet.bulk.scorer import ScoredBatch, without_nan
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.native.arrow_input import decode_batches
from tfleet.worker.inference.errors import BadInputError

if TYPE_CHECKING:
    from tfleet.bulk.model_columns import ModelColumns
    from tfleet.worker.inference.loaded_model import LoadedModel


class LocalScorer:
    """Scores with a model that is loaded and warm, in batches of up to `batch_rows` where that is right."""

    def __init__(
        self, model: LoadedModel, columns: ModelColumns, predictions: OutputColumns, *, batch_rows: int
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
        rows = batch.select(list(self.columns.names))
        found = score_isolated(rows, unread, self.predictions.schema, self._run)
        return without_nan(found, self.predictions)

    def _run(self, rows: pa.RecordBatch) -> list[pa.Array]:
        columns = self.columns
        try:
            inputs = decode_batches([rows], columns.layout, self._limits, by_column=columns.by_column)
            result = self._model.predictor(self._signature.name, inputs, rows=None)
        except (ProblemError, BadInputError) as error:
            raise RejectedRowsError(str(error)) from error
        return self.predictions.columns(result.outputs, rows.num_rows)


def local_predictions(model: LoadedModel, top: int) -> OutputColumns:
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
