"""Which rows of several callers run together, and how their outputs are told apart. Without TensorFlow."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tfleet.worker.inference.model_session import Tensors
    from tfleet.worker.model.signature import Signature


class NotRowsError(Exception):
    """The outputs of a batch do not have a row for each of its rows."""


def choose_rows(waiting: Sequence[tuple[Hashable, int]], most: int) -> Sequence[int]:
    """The positions of those that run with the first one: the same bucket, at most so many rows together.

    Each one that waits has a bucket, None for what runs alone, and a number of rows.
    """
    bucket, rows = waiting[0]
    chosen = [0]
    if bucket is not None:
        for position, (other, more) in enumerate(waiting[1:], start=1):
            if other == bucket and rows + more <= most:
                chosen.append(position)
                rows += more
    return chosen


def split_rows(outputs: Tensors, rows: Sequence[int]) -> list[Tensors]:
    """Each caller's part of the outputs. Raises `NotRowsError` if an output has another number of rows."""
    total = sum(rows)
    ends = np.cumsum(rows).tolist()
    for name, array in outputs.items():
        if array.ndim == 0 or len(array) != total:
            raise NotRowsError(f"{name} has the shape {list(array.shape)} for {total} rows")
    return [
        {name: array[end - count : end] for name, array in outputs.items()}
        for end, count in zip(ends, rows, strict=True)
    ]


def maps_rows(signature: Signature) -> bool:
    """Whether it makes rows of rows: the first dimension of all required inputs and all outputs is of any
    size.
    """
    required = [info for info in signature.inputs if not info.optional]
    if not required or not signature.outputs:
        return False
    return all(info.shape and info.shape[0] is None for info in (*required, *signature.outputs))
