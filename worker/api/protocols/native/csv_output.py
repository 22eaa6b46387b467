"""Outputs as CSV (RFC 4180): a header line, then one line for each row, with numbers as in JSON.

An output with one value for each row is a column of its name. One with N values is N columns: `p[0]`, `p[1]`
and so on.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.json_output import json_value
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.problems import not_acceptable, quoted


def encode_csv(outputs: Mapping[str, Array], rows: int, limits: InputLimits) -> bytes:
    """A CSV file in UTF-8. Raises ProblemError: 406 for an output that it cannot hold, 413 over a limit."""
    limits.check_written(sum(array.size for array in outputs.values()), "cells")
    header: list[str] = []
    columns: list[Sequence[Any]] = []
    for name, array in outputs.items():
        _check(name, array, rows)
        values = array.reshape(rows, -1)
        plain = array.ndim == 1 or array.shape[1] == 1
        header += [name] if plain else [f"{name}[{index}]" for index in range(values.shape[1])]
        # By way of JSON, which has the digits.
        lines = json.loads(json_value(name, values, limits))
        columns += [_texts(name, column) for column in zip(*lines, strict=True)]
    sink = io.StringIO(newline="")
    writer = csv.writer(sink)
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return sink.getvalue().encode()


def _check(name: str, array: Array, rows: int) -> None:
    if array.ndim not in {1, 2} or array.shape[0] != rows or not array.size:
        raise not_acceptable(
            f"output {quoted(name)} has shape {list(array.shape)}, which is not one value or one list "
            "of values for "
            f"each of the {rows} rows of a CSV file: ask for application/json"
        )


def _texts(name: str, column: Sequence[Any]) -> Sequence[Any]:
    """The values as the csv module should get them: finite numbers it writes as JSON has them."""
    types = set(map(type, column))
    if types <= {int} or (types <= {float} and all(map(math.isfinite, column))):
        return column
    return [_text(name, value) for value in column]


def _text(name: str, value: Any) -> str:
    """A value of a JSON document as CSV has it."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        raise not_acceptable(
            f"output {quoted(name)} holds bytes that are not UTF-8, which CSV cannot: ask for "
            "application/json"
        )
    return json.dumps(value)
