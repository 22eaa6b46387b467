"""The plain values of a CSV file or a query: text becomes numbers, bools and strings.

The rules:

- Numbers are written as in Python and JSON: `1`, `-2.5`, `6e-7`, also with a `+`. NaN and the infinities are
  `NaN`, `Infinity`, `-Infinity`, `inf` and `-inf`, in any case. Blanks around a number do not matter.
- Bools are `true` and `false`, in any case.
- An empty cell is no value. That holds for strings as well: CSV cannot tell an empty one from a missing one.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.dtypes import from_array, from_scalars, kind_of, numpy_dtype
from tfleet.worker.api.protocols.problems import CellError, bad_input, quoted
from tfleet.worker.model.signature import TensorInfo

_MAX_NUMBER_CHARS: Final = 400
"""Longer than any number needs: float64's smallest has 324 places."""
_BOOLS: Final = {"true": True, "false": False}
# Python's int() and float() also take 1_000 and digits of other scripts.
_DIGIT: Final = re.compile(r"\d")
_NOT_IN_NUMBERS: Final = re.compile(r"[_\u0080-\U0010ffff]")


def parse_texts(texts: Sequence[str], info: TensorInfo) -> Array:
    """A vector of the input's dtype. Raises CellError for the first text that is none of its values."""
    kind = kind_of(numpy_dtype(info))
    if kind == "O":
        if "" in texts:
            raise CellError(texts.index(""), "the cell is empty: send JSON if an empty string is meant")
        return from_scalars(texts, info)
    if kind == "b":
        return np.array([_bool(index, text) for index, text in enumerate(texts)], np.bool_)
    if kind == "c":
        raise bad_input(
            f"input {quoted(info.name)} is {info.dtype}, for which text has no form: send .npy or .npz"
        )
    if kind == "f":
        return from_array(_floats(texts, info), info)
    return from_scalars(_numbers(texts, info, int), info)


def _floats(texts: Sequence[str], info: TensorInfo) -> Array:
    wide = np.array(_numbers(texts, info, float), np.float64)
    infinite = np.flatnonzero(np.isinf(wide)).tolist()
    # A word such as `inf` means it; digits were too large a number.
    too_large = {text for text in {texts[index] for index in infinite} if _DIGIT.search(text)}
    if too_large:
        index = next(index for index in infinite if texts[index] in too_large)
        raise CellError(index, f"{quoted(texts[index])} is out of range for {info.dtype}")
    return wide


def _numbers(texts: Sequence[str], info: TensorInfo, convert: type[int] | type[float]) -> list[Any]:
    if max(map(len, texts), default=0) <= _MAX_NUMBER_CHARS and not _NOT_IN_NUMBERS.search("".join(texts)):
        with contextlib.suppress(ValueError):
            return list(map(convert, texts))
    # The first that fails raises CellError.
    return [_number(index, text, info, convert) for index, text in enumerate(texts)]


def _number(index: int, text: str, info: TensorInfo, convert: type[int] | type[float]) -> int | float:
    if not text.strip():
        raise CellError(index, f"the cell is empty: send a value for each {info.dtype}")
    if len(text) > _MAX_NUMBER_CHARS:
        raise CellError(
            index, f"a number of {len(text)} characters is too long: {_MAX_NUMBER_CHARS} are allowed"
        )
    try:
        if _NOT_IN_NUMBERS.search(text):
            raise ValueError
        return convert(text)
    except ValueError:
        raise CellError(index, f"{quoted(text)} is no {info.dtype}") from None


def _bool(index: int, text: str) -> bool:
    found = _BOOLS.get(text.strip().lower())
    if found is None:
        raise CellError(index, f"{quoted(text)} is not true or false" if text else "the cell is empty")
    return found
