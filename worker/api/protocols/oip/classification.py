"""The classification extension: an output as its best classes, each a string `VALUE:INDEX[:LABEL]`.

An output of [rows, ...] has the classes of each row. One with fewer than two dimensions is one row, except
where dimension 0 is that of rows: then each row is one number, which is of class 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.dtypes import BFLOAT16, bytes_array, kind_of
from tfleet.worker.api.protocols.json_output import json_value
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.problems import bad_input, quoted


def best_classes(name: str, array: Array, classes: int, labels: Sequence[str], limits: InputLimits) -> Array:
    """Strings of shape [rows, classes], or [classes] of an output without rows; fewer where there are fewer.

    `labels` are left out unless there is one for each value of a row. NaN is worse than any number. Raises
    ProblemError: 400 for an output without numbers, 413 for too many strings.
    """
    if kind_of(array.dtype) not in "fiu":
        raise bad_input(f"output {quoted(name)} has no numbers to rank: ask for it without classification")
    outer, inner = (array.shape[0], array.shape[1:]) if array.ndim > 1 else (1, array.shape)
    rows = array.reshape(outer, math.prod(inner))
    classes = min(classes, rows.shape[1])
    limits.check_written(len(rows) * classes, "classes")
    best = _descending(rows)[:, :classes]
    values = np.take_along_axis(rows, best, axis=1).reshape(-1)
    numbers = json_value(name, values, limits)[1:-1].decode().split(",") if values.size else []
    known = len(labels) == rows.shape[1]
    texts = [
        f"{number}:{index}:{labels[index]}" if known else f"{number}:{index}"
        for number, index in zip(numbers, best.reshape(-1).tolist(), strict=True)
    ]
    found = bytes_array([text.encode() for text in texts])
    return found.reshape(best.shape if array.ndim > 1 else -1)


def _descending(rows: Array) -> Array:
    """The indices of each row's values, largest first; of equal ones the first comes first."""
    if kind_of(rows.dtype) == "f":
        wide = rows.astype(np.float32) if rows.dtype == BFLOAT16 else rows
        return np.argsort(-wide, axis=1, kind="stable")
    # Not of the negative values: the smallest integer has none, and unsigned ones wrap.
    backwards = np.argsort(rows[:, ::-1], axis=1, kind="stable")
    found: Array = (rows.shape[1] - 1 - backwards)[:, ::-1]
    return found
