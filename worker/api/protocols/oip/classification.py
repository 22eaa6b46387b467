"""The classification extension: an output as its best classes, each a string `VALUE:INDEX[:LABEL]`.

An output of [rows, ...] has the classes of each row. One with fewer than two dimensions is one row, except
where dimension 0 is that of rows: then each row is one number, which is of class 0. Triton breaks up the
outputs of a model that batches in the same way. Rows that were ranked against each other would say nothing,
and change with what else is in the request.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.dtypes import BFLOAT16, bytes_array, kind_of
from tfleet.worker.api.protocols.json_output import json_value
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.problems import bad_input, quoted


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a model. `labels` are left out unless there is one for each value of a row.

    `by_row`: dimension 0 of the outputs is that of rows.
    """

    labels: Sequence[str] = ()
    by_row: bool = False


def best_classes(name: str, array: Array, most: int, classes: Classes, limits: InputLimits) -> Array:
    """Strings of shape [rows, classes], or [classes] of an output without rows: `most`, or all of fewer.

    NaN is worse than any number. Raises ProblemError: 400 for an output without numbers, 413 for too many
    strings.
    """
    if kind_of(array.dtype) not in "fiu":
        raise bad_input(f"output {quoted(name)} has no numbers to rank: ask for it without classification")
    in_rows = array.ndim > 1 or (classes.by_row and array.ndim == 1)
    outer, inner = (array.shape[0], array.shape[1:]) if in_rows else (1, array.shape)
    rows = array.reshape(outer, math.prod(inner))
    width, labels = min(most, rows.shape[1]), classes.labels
    limits.check_written(len(rows) * width, "classes")
    best = _descending(rows)[:, :width]
    values = np.take_along_axis(rows, best, axis=1).reshape(-1)
    numbers = json_value(name, values, limits)[1:-1].decode().split(",") if values.size else []
    known = len(labels) == rows.shape[1]
    texts = [
        f"{number}:{index}:{labels[index]}" if known else f"{number}:{index}"
        for number, index in zip(numbers, best.reshape(-1).tolist(), strict=True)
    ]
    found = bytes_array([text.encode() for text in texts])
    return found.reshape(best.shape if in_rows else -1)


def _descending(rows: Array) -> Array:
    """The indices of each row's values, largest first; of equal ones the first comes first."""
    if kind_of(rows.dtype) == "f":
        wide = rows.astype(np.float32) if rows.dtype == BFLOAT16 else rows
        return np.argsort(-wide, axis=1, kind="stable")
    # Not of the negative values: the smallest integer has none, and unsigned ones wrap.
    backwards = np.argsort(rows[:, ::-1], axis=1, kind="stable")
    found: Array = (rows.shape[1] - 1 - backwards)[:, ::-1]
    return found
