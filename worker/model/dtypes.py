"""The NumPy types of TensorFlow's types, by name. No TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import ml_dtypes
import numpy as np

_SAME_NAME: Final = (
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "complex64",
    "complex128",
    "bool",
)
_DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    **{name: np.dtype(name) for name in _SAME_NAME},
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "string": np.dtype(object),
}


def numpy_dtype(name: str) -> np.dtype[Any] | None:
    """The NumPy type of TensorFlow's type; None for one that no request can carry, such as a resource.

    Strings are arrays of objects, each of which is `bytes`.
    """
    return _DTYPES.get(name)
