"""The rows of a task with their predictions, in batches that Spark takes. No I/O but the scorer's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from tfleet.bulk.row_errors import ERROR_COLUMN
from tfleet.bulk.spark.arrow_types import as_spark, spark_schema
from tfleet.bulk.spark.rebatch import BatchLimits, rebatched
from tfleet.bulk.spark.settings import UNREAD

if TYPE_CHECKING:
    from tfleet.bulk.scorer import Scorer


@dataclass(frozen=True, slots=True)
class RowStream:
    """How rows become rows with predictions. `keep` are the columns of the table that the output has."""

    scorer: Scorer
    keep: tuple[str, ...]
    limits: BatchLimits

    def scored(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """All rows, in their order. The first batch is scored by itself: a query may want no more.

        Raises RunFailedError.
        """
        waiting: deque[Future[pa.RecordBatch]] = deque()
        most = self.scorer.concurrency
        pool = ThreadPoolExecutor(most, "score")
        try:
            for number, batch in enumerate(rebatched(batches, self.limits)):
                waiting.append(pool.submit(self._scored, batch))
                while len(waiting) >= (most if number else 1):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _scored(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        errors: dict[int, str] = {}
        if UNREAD in batch.schema.names:
            told = enumerate(batch.column(UNREAD).to_pylist())
            errors = {row: text for row, text in told if text is not None}
        found = self.scorer.score(batch, errors)
        texts: list[str | None] = [None] * batch.num_rows
        for row, text in found.errors.items():
            texts[row] = text
        predicted = spark_schema(found.predictions.schema)
        columns = {name: batch.column(name) for name in self.keep}
        columns |= dict(zip(predicted.names, as_spark(found.predictions, predicted), strict=True))
        return pa.record_batch(columns | {ERROR_COLUMN: pa.array(texts, pa.string())})
