"""What every decoder returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
"""A tensor. Strings are arrays of objects, each of them bytes, as TensorFlow has them."""


@dataclass(frozen=True, slots=True)
class DecodedInputs:
    """The inputs of a signature by name, complete and checked: the session can be called with them.

    `rows` is the number of rows. `one_row`: the request had a row and not a list of rows, so the answer is
    without a dimension for rows. `whole`: these are complete tensors without rows (see layout.py), so they
    must not be put into a batch with others, and `rows` is 1. An array may be a read-only view of the body.
    """

    inputs: Mapping[str, Array]
    rows: int
    one_row: bool = False
    whole: bool = False
