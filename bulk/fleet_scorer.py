"""Scores rows and images with the workers of a fleet, which are asked directly.

Rows go in Arrow bodies, images as they are, one in a request. All go to one version of the model, whatever is
rolled out meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from tfleet.bulk.errors import RunFailedError
from tfleet.bulk.fleet_connection import FleetConnection, arrow_stream
from tfleet.bulk.image_content import LOCAL_IMAGES, ImageReader, unreadable
from tfleet.bulk.isolation import RejectedRowsError, note_nulls, score_isolated
from tfleet.bulk.predictions import FleetLabelPredictions, PredictionColumns
from tfleet.bulk.scorer import ScoredBatch, scattered, without_nan

if TYPE_CHECKING:
    from tfleet.bulk.model_columns import ModelColumns, TakenColumns


class FleetScorer:
    """Scores with a fleet, in requests of up to `batch_rows`, `concurrency` at a time."""

    def __init__(
        self,
        fleet: FleetConnection,
        columns: ModelColumns,
        predictions: PredictionColumns,
        *,
        batch_rows: int,
        concurrency: int,
        signature: str | None = None,
    ) -> None:
        self._fleet = fleet
        self.columns = columns
        self.predictions = predictions
        self.most_rows = batch_rows
        self.concurrency = concurrency
        self._signature = signature

    def __repr__(self) -> str:
        return f"<FleetScorer {self._fleet!r} most_rows={self.most_rows}>"

    def score(self, batch: pa.RecordBatch, unread: Mapping[int, str]) -> ScoredBatch:
        """Score the rows, but those that are `unread`. Raises RunFailedError."""
        rows = batch.select(list(self.columns.names))
        found = score_isolated(rows, unread, self.predictions.schema, self._ask)
        return without_nan(found, self.predictions)

    def _ask(self, rows: pa.RecordBatch) -> list[pa.Array]:
        stream = arrow_stream(rows)
        if isinstance(self.predictions, FleetLabelPredictions):
            return self.predictions.of_answers(
                self._fleet.labels(stream, self.predictions.top), rows.num_rows
            )
        with pa.ipc.open_stream(self._fleet.outputs(stream, self._signature)) as reader:
            table = reader.read_all().combine_chunks()
        return [plain_column(table, field, rows.num_rows) for field in self.predictions.schema]


class FleetImageScorer:
    """Scores images with a fleet, one in a request, `concurrency` at a time."""

    most_rows = 1

    def __init__(
        self,
        fleet: FleetConnection,
        columns: TakenColumns,
        predictions: FleetLabelPredictions,
        *,
        concurrency: int,
        reader: ImageReader = LOCAL_IMAGES,
    ) -> None:
        self._fleet = fleet
        self._reader = reader
        self.columns = columns
        (self._column,) = columns.names
        self.predictions = predictions
        self.concurrency = concurrency

    def __repr__(self) -> str:
        return f"<FleetImageScorer {self._fleet!r}>"

    def score(self, batch: pa.RecordBatch, unread: Mapping[int, str]) -> ScoredBatch:
        """Score the images, but those that are `unread`. Raises RunFailedError."""
        errors = dict(unread)
        rows = batch.select([self._column])
        note_nulls(rows, errors)
        indices, answers = [], []
        for index, value in enumerate(rows.column(0).to_pylist()):
            if index in errors:
                continue
            try:
                answers.append(self._fleet.image_labels(self._reader.source(value), self.predictions.top))
            except (OSError, ValueError) as error:
                errors[index] = unreadable(error)
            except RejectedRowsError as error:
                errors[index] = str(error)
            else:
                indices.append(index)
        schema = self.predictions.schema
        columns = self.predictions.of_answers(answers, len(indices))
        found = [(indices, pa.RecordBatch.from_arrays(columns, schema=schema))] if indices else []
        return without_nan(ScoredBatch(scattered(found, batch.num_rows, schema), errors), self.predictions)


def plain_column(table: pa.Table, field: pa.Field, rows: int) -> pa.Array:
    """An output in its type. Raises RunFailedError for an answer without it, or with other rows."""
    if field.name not in table.schema.names or table.num_rows != rows:
        raise RunFailedError(
            f"the fleet's answer has not one value of {field.name!r} for each of {rows} rows"
        )
    column = table.column(field.name).combine_chunks()
    if pa.types.is_fixed_size_list(column.type) and not pa.types.is_nested(field.type):
        column = column.flatten()  # of shape [?, 1]
    return column.cast(field.type)
