"""A scorer without a model: it doubles `x`, and fails the rows that are told to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from tfleet.bulk.predictions import OutputPredictions
from tfleet.bulk.scorer import ScoredBatch


@dataclass
class FakeScorer:
    """`calls` has the rows of each batch; `before` is called first with each of them."""

    most_rows: int = 100
    concurrency: int = 2
    failing: frozenset[int] = frozenset()
    before: Callable[[pa.RecordBatch], None] = lambda batch: None
    predictions: OutputPredictions = field(
        default_factory=lambda: OutputPredictions(pa.schema({"y": pa.int64()}))
    )
    calls: list[int] = field(default_factory=list)

    def score(self, batch: pa.RecordBatch, unread: Mapping[int, str]) -> ScoredBatch:
        self.before(batch)
        self.calls.append(batch.num_rows)
        errors = {row: "is told to fail" for row, x in enumerate(batch["x"].to_pylist()) if x in self.failing}
        bad = pa.array([row in errors or row in unread for row in range(batch.num_rows)])
        doubled = pc.if_else(bad, pa.scalar(None, pa.int64()), pc.multiply(batch["x"], 2))
        schema = self.predictions.schema
        return ScoredBatch(pa.RecordBatch.from_arrays([doubled], schema=schema), {**errors, **unread})


@dataclass
class ListScorer(FakeScorer):
    """A scorer whose answer to a row is a list of x numbers, or of `most` where that is fewer."""

    most: int = 1000
    predictions: OutputPredictions = field(
        default_factory=lambda: OutputPredictions(pa.schema({"y": pa.list_(pa.int64())}))
    )

    def score(self, batch: pa.RecordBatch, unread: Mapping[int, str]) -> ScoredBatch:
        self.calls.append(batch.num_rows)
        lists = [None if x is None else [7] * min(x, self.most) for x in batch["x"].to_pylist()]
        schema = self.predictions.schema
        return ScoredBatch(
            pa.RecordBatch.from_arrays([pa.array(lists, schema[0].type)], schema=schema), unread
        )
