"""The answer to `:predict`: `predictions` for rows, `outputs` for tensors.

One output is written without its name; several are objects. Strings of outputs whose names end in `_bytes`
are `{"b64": ...}`, and so are others that are not UTF-8: TensorFlow Serving writes these as they are, which
is no JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import orjson

from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.dtypes import kind_of
from tfleet.worker.api.protocols.json_output import json_value
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.problems import bad_input, quoted

_BYTES_SUFFIX: Final = "_bytes"
_COLUMNS: Final = 'send {"inputs": ...} instead of rows, which takes outputs of any shape'


def encode_predict(outputs: Mapping[str, Array], limits: InputLimits, *, by_row: bool) -> bytes:
    """The answer's body. Raises ProblemError: 400 for outputs without rows or JSON, 413 over a limit."""
    _check_json(outputs)
    if not by_row:
        return b'{"outputs":' + _tensors(outputs, limits) + b"}\n"
    rows = _rows_of(outputs)
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        return b'{"predictions":' + _value(name, array, limits) + b"}\n"
    limits.check_written(rows * len(outputs), "values in rows")
    columns = [_column(name, array, limits) for name, array in outputs.items()]
    objects = (b"{" + b",".join(row) + b"}" for row in zip(*columns, strict=True))
    return b'{"predictions":[' + b",".join(objects) + b"]}\n"


def _check_json(outputs: Mapping[str, Array]) -> None:
    for name, array in outputs.items():
        if kind_of(array.dtype) == "c":
            raise bad_input(
                f"the output {quoted(name)} is {array.dtype}, which JSON has not: use POST /predict with "
                "Accept: application/x-npz"
            )


def _rows_of(outputs: Mapping[str, Array]) -> int:
    """The size of dimension 0 of all outputs. Raises ProblemError (400) where they do not have the same."""
    first, rows = "", -1
    for name, array in outputs.items():
        if array.ndim == 0:
            raise bad_input(
                f"the output {quoted(name)} has no shape information: it is no list of rows: {_COLUMNS}"
            )
        if rows not in {-1, len(array)}:
            raise bad_input(
                f"the output {quoted(name)} has inconsistent batch size: it has {len(array)} rows, and "
                f"{quoted(first)} has {rows}: {_COLUMNS}"
            )
        first, rows = name, len(array)
    return rows


def _tensors(outputs: Mapping[str, Array], limits: InputLimits) -> bytes:
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        return _value(name, array, limits)
    members = (orjson.dumps(name) + b":" + _value(name, array, limits) for name, array in outputs.items())
    return b"{" + b",".join(members) + b"}"


def _value(name: str, array: Array, limits: InputLimits) -> bytes:
    return json_value(name, array, limits, b64=name.endswith(_BYTES_SUFFIX))


def _column(name: str, array: Array, limits: InputLimits) -> list[bytes]:
    """`"NAME":VALUE` for each row."""
    key = orjson.dumps(name) + b":"
    if not array.size:
        value = _value(name, np.empty(array.shape[1:], array.dtype), limits)
        return [key + value] * len(array)
    if kind_of(array.dtype) == "O":
        limits.check_written(array.size, "strings")
        return [key + _value(name, np.array(row, object), limits) for row in array]
    inner = array.ndim - 1
    # No bracket stands in a number: so many of them in a row end a row, and fewer do not.
    text = _value(name, array, limits)[1 + inner : -1 - inner]
    opened, closed = b"[" * inner, b"]" * inner
    return [key + opened + row + closed for row in text.split(closed + b"," + opened)]
