"""Reads the one form of NumPy's .npy that a worker answers a vector in, without NumPy."""

from __future__ import annotations

import re
import sys
from array import array
from typing import Final

# A header of version 1.0: its length in two bytes, then a Python dict. See numpy.lib.format.
_BEGINS: Final = b"\x93NUMPY\x01\x00"
_DATA_OFFSET: Final = 10
_HEADER: Final = re.compile(
    rb"\{'descr': '<f4', 'fortran_order': (?:False|True), 'shape': \((\d{1,9}),\), ?\} *\n"
)


def read_vector(content: bytes) -> array[float] | None:
    """The float32 numbers of an array of one dimension; None for anything else."""
    if not content.startswith(_BEGINS):
        return None
    begin = _DATA_OFFSET + int.from_bytes(content[len(_BEGINS) : _DATA_OFFSET], "little")
    header = _HEADER.fullmatch(content[_DATA_OFFSET:begin])
    vector = array("f")
    if header is None or int(header[1]) * vector.itemsize != len(content) - begin:
        return None
    vector.frombytes(content[begin:])
    if sys.byteorder == "big":
        vector.byteswap()
    return vector
