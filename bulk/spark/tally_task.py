"""Count rows that were written, in Spark's Python workers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from tfleet.bulk.row_errors import ERROR_COLUMN
from tfleet.bulk.tally import Tally, tally


@dataclass(frozen=True)
class CountRows:
    """Counts rows by these columns, which are those of the best label and its probability."""

    label: str | None
    probability: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it wants."""
        return tuple(name for name in (self.label, self.probability, ERROR_COLUMN) if name is not None)

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One row with the counts as JSON."""
        total = Tally()
        for batch in batches:
            errors = batch.column(ERROR_COLUMN).drop_null().to_pylist()
            best = [None if name is None else batch.column(name) for name in (self.label, self.probability)]
            total += tally(batch.num_rows, errors, *best)
        yield pa.record_batch({"counts": [json.dumps(total.document())]})
