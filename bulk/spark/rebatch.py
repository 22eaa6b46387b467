"""Cut the batches that Spark sends anew: rows that run together, by their number and their bytes. No I/O.

Spark cuts by settings of the session: 10,000 rows and any number of bytes, unless somebody has changed them.
Here batches depend on the rows and their order alone, so that a task that runs again gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tfleet.bulk.batches import Sizes, batch_ends, row_sizes


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What a batch may have at most. `tensor_bytes` are what a row takes in the model's tensors."""

    rows: int
    bytes: int
    tensor_bytes: int = 0


def rebatched(batches: Iterable[pa.RecordBatch], limits: BatchLimits) -> Iterator[pa.RecordBatch]:
    """The same rows in the same order, in batches that are as large as the limits allow."""
    held: list[pa.RecordBatch] = []
    sizes: list[Sizes] = []
    rows = size = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        held.append(batch)
        sizes.append(row_sizes(batch, limits.tensor_bytes))
        rows += batch.num_rows
        size += int(sizes[-1].sum())
        if rows < limits.rows and size < limits.bytes:
            continue
        together, all_sizes = _together(held), np.concatenate(sizes)
        done = 0
        for begin, end in _ends(all_sizes, limits):
            if end == rows and not _is_full(all_sizes[begin:], limits):
                break  # rows that come next may belong to it
            yield together.slice(begin, end - begin)
            done = end
        held, sizes = [together.slice(done)], [all_sizes[done:]]
        rows, size = rows - done, int(sizes[0].sum())
    if rows:
        together, all_sizes = _together(held), np.concatenate(sizes)
        yield from (together.slice(begin, end - begin) for begin, end in _ends(all_sizes, limits))


def _ends(sizes: Sizes, limits: BatchLimits) -> Iterator[tuple[int, int]]:
    return batch_ends(sizes, most_rows=limits.rows, most_bytes=limits.bytes)


def _is_full(sizes: Sizes, limits: BatchLimits) -> bool:
    """Whether no further row could belong to the batch of these rows."""
    return len(sizes) == limits.rows or int(sizes.sum()) >= limits.bytes


def _together(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
