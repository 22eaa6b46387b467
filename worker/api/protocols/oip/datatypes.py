"""The protocol's names of TensorFlow's types. A complex number has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from tfleet.worker.api.protocols.dtypes import BFLOAT16

BYTES: Final = "BYTES"
BOOL: Final = "BOOL"

_BY_DTYPE: Final[Mapping[str, str]] = {
    "bool": BOOL,
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "bfloat16": "BF16",
    "string": BYTES,
}
DATATYPES: Final = frozenset(_BY_DTYPE.values())


def datatype(dtype: str) -> str | None:
    """The name of TensorFlow's type `dtype`; None for one that the protocol has not."""
    return _BY_DTYPE.get(dtype)


def datatype_of(dtype: np.dtype[Any]) -> str | None:
    """The same for the type of an array, where strings are objects."""
    if dtype == BFLOAT16:
        return "BF16"
    return BYTES if dtype.kind in "OSU" else _BY_DTYPE.get(dtype.name)
