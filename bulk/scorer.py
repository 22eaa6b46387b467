"""What scores rows, wherever the model is: record batches in, predictions and errors out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from tfleet.bulk.predictions import PredictionColumns


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
