"""The Open Inference Protocol's names of TensorFlow's types. A complex number has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

BYTES: Final = "BYTES"
BOOL: Final = "BOOL"

DATATYPE_OF: Final[Mapping[str, str]] = {
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
