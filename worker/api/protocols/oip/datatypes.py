"""The protocol's names of the types of a signature and of an array."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from tfleet.contract.datatypes import BOOL, BYTES, DATATYPE_OF
from tfleet.worker.api.protocols.dtypes import BFLOAT16

__all__ = ["BOOL", "BYTES", "DATATYPES", "datatype", "datatype_of"]

DATATYPES: Final = frozenset(DATATYPE_OF.values())


def datatype(dtype: str) -> str | None:
    """The name of TensorFlow's type `dtype`; None for one that the protocol has not."""
    return DATATYPE_OF.get(dtype)


def datatype_of(dtype: np.dtype[Any]) -> str | None:
    """The same for the type of an array, where strings are objects."""
    if dtype == BFLOAT16:
        return "BF16"
    return BYTES if dtype.kind in "OSU" else DATATYPE_OF.get(dtype.name)
