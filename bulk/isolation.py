"""Rows that cannot be scored do not harm others: a batch that fails is halved until its cause is alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfleet.bulk.row_errors import NO_VALUE, without_row
from tfleet.bulk.scorer import ScoredBatch, scattered
from tfleet.client.row_shapes import same_shapes, table_shapes
from tfleet.worker.api.protocols.problems import place

_Found = list[tuple[Sequence[int], pa.RecordBatch]]


class RejectedRowsError(Exception):
    """At least one of the rows cannot be scored. The message is one line; it is about the first one."""


def score_isolated(
    rows: pa.RecordBatch,
    unread: Mapping[int, str],
    schema: pa.Schema,
    run: Callable[[pa.RecordBatch], list[pa.Array]],
) -> ScoredBatch:
    """Score rows of the model's columns, but those that are `unread`.

    `run` gives the predictions of rows, or raises RejectedRowsError.
    """
    errors = dict(unread)
    note_nulls(rows, errors)
    found: _Found = []

    def score(indices: Sequence[int]) -> None:
        chosen = rows if len(indices) == rows.num_rows else rows.take(pa.array(indices))
        try:
            columns = run(chosen)
        except RejectedRowsError as error:
            if len(indices) == 1:
                errors[indices[0]] = without_row(str(error))
                return
            half = len(indices) // 2
            score(indices[:half])
            score(indices[half:])
            return
        found.append((indices, pa.RecordBatch.from_arrays(columns, schema=schema)))

    good: Sequence[int] = range(rows.num_rows)
    if errors:
        good = [row for row in good if row not in errors]
    for indices in _alike(rows, good):
        score(indices)
    return ScoredBatch(scattered(found, rows.num_rows, schema), errors)


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
