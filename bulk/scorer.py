"""What scores rows, wherever the model is: record batches in, predictions and errors out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfleet.bulk.predictions import PredictionColumns
from tfleet.bulk.row_errors import NO_BEST_LABEL


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """A prediction for each row, null where `errors` says why there is none."""

    predictions: pa.RecordBatch
    errors: Mapping[int, str]


class Scorer(Protocol):
    """Scores batches of the model's columns. Its methods may be called from any thread."""

    @property
    def predictions(self) -> PredictionColumns:
        """The columns that it gives."""

    @property
    def most_rows(self) -> int:
        """How many rows may be in one batch."""

    @property
    def concurrency(self) -> int:
        """How many batches it can score at a time."""

    def score(self, batch: pa.RecordBatch, unread: Mapping[int, str]) -> ScoredBatch:
        """Score the rows, but those that are `unread` for the reason given. Raises RunFailedError."""


def scattered(
    found: Sequence[tuple[Sequence[int], pa.RecordBatch]], rows: int, schema: pa.Schema
) -> pa.RecordBatch:
    """PredictionColumns for some of the rows, each with its index, as a batch with nulls for all others."""
    if len(found) == 1 and len(found[0][0]) == rows:
        return found[0][1]
    if not found:
        return pa.RecordBatch.from_arrays([pa.nulls(rows, field.type) for field in schema], schema=schema)
    together = pa.concat_batches([batch for _, batch in found])
    position = np.full(rows, -1, np.int64)
    position[np.concatenate([np.asarray(indices, np.int64) for indices, _ in found])] = np.arange(
        together.num_rows
    )
    return together.take(pa.array(position, mask=position < 0))


def without_nan(scored: ScoredBatch, predictions: PredictionColumns) -> ScoredBatch:
    """The same, with an error for each row whose best score is NaN: its label would be any one of them."""
    if predictions.label is None:
        return scored
    rows, best = _best_scores(scored.predictions.column(1))
    wrong = rows[pc.fill_null(pc.is_nan(best), False).to_numpy(zero_copy_only=False)]
    if not len(wrong):
        return scored
    count = scored.predictions.num_rows
    kept = pa.array(np.arange(count), mask=np.isin(np.arange(count), wrong))
    errors = dict(scored.errors) | dict.fromkeys(wrong.tolist(), NO_BEST_LABEL)
    return ScoredBatch(scored.predictions.take(kept), errors)


def _best_scores(column: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """The best score of each row that has one, and the indices of these rows."""
    if not pa.types.is_list(column.type):
        return np.arange(len(column)), column
    first = pc.list_slice(column, 0, 1)
    return pc.list_parent_indices(first).to_numpy(), pc.list_flatten(first)
