"""Outputs as JSON: every number with as few digits as tell it from its neighbours in its own dtype.

A float32 of 0.1 is written as 0.1, and not as 0.10000000149011612. Integers are exact, also beyond 2**53. NaN
and the infinities are the words `NaN`, `Infinity` and `-Infinity`, as TensorFlow Serving and Python's json
write and read them: JSON has no numbers for them, and null would hide which one it was. Strings that are not
UTF-8 are `{"b64": "..."}`.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import orjson

from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.dtypes import B64, kind_of
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.problems import not_acceptable, quoted

_AS_ARRAYS: Final = orjson.OPT_SERIALIZE_NUMPY
_MOST_DIGITS: Final = 9  # of a float32, which all small floats fit into


def encode_json(outputs: Mapping[str, Array], limits: InputLimits) -> bytes:
    """The document `{"success": true, "outputs": {name: value, ...}}` and a newline.

    Raises ProblemError: 406 for a complex output, 413 over a limit.
    """
    members = (orjson.dumps(name) + b":" + json_value(name, array, limits) for name, array in outputs.items())
    return b'{"success":true,"outputs":{' + b",".join(members) + b"}}\n"


def json_value(name: str, array: Array, limits: InputLimits, *, b64: bool = False) -> bytes:
    """One output as JSON, lists within lists; all its strings as `{"b64": ...}` with `b64`.

    Raises ProblemError: 406 for a complex one, 413 over a limit. The limit is on strings, and on numbers
    beside NaN or an infinity: each becomes an object of Python.
    """
    kind = kind_of(array.dtype)
    if kind == "c":
        raise not_acceptable(
            f"output {quoted(name)} is {array.dtype}, which JSON has not: ask for application/x-npz"
        )
    if kind == "O":
        limits.check_written(array.size, "strings")
        return orjson.dumps(_strings(array, b64))
    if kind == "f" and array.dtype.itemsize <= 2:  # noqa: PLR2004 - half and bfloat16
        array = _shortest(array)
    if kind == "f" and not np.isfinite(array).all():
        limits.check_written(array.size, "numbers in an output with NaN or infinities")
        return _with_words(array)
    return _dumped(array)


def _dumped(array: Array) -> bytes:
    if array.ndim == 0:
        return orjson.dumps(array[()], option=_AS_ARRAYS)
    native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    return orjson.dumps(np.ascontiguousarray(native), option=_AS_ARRAYS)


def _shortest(array: Array) -> Array:
    """float64 values that have the digits of the small floats."""
    values, places = np.unique(array.reshape(-1).view(f"u{array.dtype.itemsize}"), return_inverse=True)
    small = values.view(array.dtype)
    if array.dtype == np.float16:
        wide = small.astype(str).astype(np.float64)
    else:
        wide = np.array([_digits(value) for value in small], np.float64)
    return wide.take(places).reshape(array.shape)


def _digits(value: Any) -> float:
    wide = float(value)
    if not math.isfinite(wide):
        return wide
    for digits in range(1, _MOST_DIGITS):
        short = float(f"{wide:.{digits}g}")
        if value.dtype.type(short) == value:
            return short
    return wide


def _with_words(array: Array) -> bytes:
    """An array of floats of which some are no numbers."""
    if array.ndim == 0:
        return json.dumps(float(array)).encode()
    finite = np.isfinite(array)
    # Digits as orjson writes them, read again as float64s that Python's json writes in the same digits.
    values = np.array(orjson.loads(_dumped(np.where(finite, array, array.dtype.type(0)))), np.float64)
    with np.errstate(invalid="ignore"):  # signaling NaNs, which some models have
        values[~finite] = array[~finite]
    return json.dumps(values.tolist(), separators=(",", ":")).encode()


def _strings(array: Array, b64: bool) -> Any:
    texts = np.empty(array.shape, object)
    as_json = _bytes if b64 else _string
    texts.reshape(-1)[:] = [as_json(value) for value in array.reshape(-1).tolist()]
    return texts.tolist()


def _string(value: bytes | str) -> str | dict[str, str]:
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return _bytes(value)


def _bytes(value: bytes | str) -> dict[str, str]:
    return {B64: base64.b64encode(value.encode() if isinstance(value, str) else value).decode()}
