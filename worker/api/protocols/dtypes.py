"""Values become tensors of an input's dtype, exactly or not at all.

The rules:

- An integer input takes integers within its range: not 1.0, not true.
- A float input takes integers and floats, and rounds them to its precision. A finite number that would become
  infinite is out of range, unless the protocol has it so. NaN and the infinities stay what they are.
- A bool input takes true and false only, and nothing else takes those.
- A string input takes strings. They become bytes (UTF-8), as TensorFlow has them.
- A complex input takes arrays only: JSON and CSV have no such numbers.
"""

from __future__ import annotations

import binascii
import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import ml_dtypes
import numpy as np

from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.problems import CellError, bad_input, quoted, shown
from tfleet.worker.model import dtypes
from tfleet.worker.model.signature import TensorInfo

B64: Final = "b64"
"""The one key of an object that holds bytes, in base64."""

BFLOAT16: Final = np.dtype(ml_dtypes.bfloat16)
_BIGGEST_INT64: Final = 2.0**63
_BLANKS: Final = b" \t\r\n"  # many tools break base64 into lines


def numpy_dtype(info: TensorInfo) -> np.dtype[Any]:
    """The NumPy dtype of a tensor. Raises ProblemError (400) for one that no request can hold."""
    found = dtypes.numpy_dtype(info.dtype)
    if found is None:
        raise bad_input(
            f"input {quoted(info.name)} has dtype {info.dtype}, which cannot be sent in a request: use "
            "another signature of the model"
        )
    return found


def kind_of(dtype: np.dtype[Any]) -> str:
    """NumPy's letter for the kind: f, i, u, b, c, O and so on; f also for bfloat16."""
    return "f" if dtype == BFLOAT16 else dtype.kind


def from_scalars(
    flat: Sequence[Any], info: TensorInfo, *, overflow: bool = False, padded: bool = True
) -> Array:
    """A vector of the input's dtype from the values of a JSON document.

    With `overflow` a float64 that is too large for the input's dtype becomes infinite. Without `padded`
    base64 needs no padding. Raises CellError for the first value that does not fit.
    """
    dtype = numpy_dtype(info)
    kind = kind_of(dtype)
    types = set(map(type, flat))
    if kind == "O":
        return _strings(flat, types, padded)
    if kind == "c":
        raise bad_input(
            f"input {quoted(info.name)} is {info.dtype}, for which JSON has no numbers: send .npy or .npz"
        )
    if kind == "b":
        _check_types(flat, types, {bool}, info)
        return np.array(flat, np.bool_)
    if kind == "f":
        _check_types(flat, types, {int, float, NonFinite}, info)
        return _floats(flat, dtype, info, overflow)
    _check_types(flat, types, {int}, info)
    try:
        return np.array(flat, dtype)
    except OverflowError:
        limits = np.iinfo(dtype)
        raise _out_of_range(flat, lambda value: not limits.min <= value <= limits.max, info) from None


class NonFinite(float):
    """NaN, Infinity or -Infinity where a document says so: not a number that was too large."""


def from_array(array: Array, info: TensorInfo, *, overflow: bool = False) -> Array:
    """An array of numbers, bools or complex numbers in the input's dtype; itself where that is its dtype.

    With `overflow` a number that is too large for a float becomes infinite. Raises CellError for the first
    value that is out of range; ProblemError (400) for a dtype that does not fit.
    """
    dtype = numpy_dtype(info)
    if array.dtype == dtype:
        return array
    kind, source = kind_of(dtype), kind_of(array.dtype)
    if source not in {"f": "fiu", "i": "iu", "u": "iu", "c": "cfiu"}.get(kind, ""):
        raise unfit(info, str(array.dtype))
    if kind in "iu":
        return _integers(array, dtype, info)
    with np.errstate(over="ignore", invalid="ignore"):
        # There is no direct cast between bfloat16 and all integers.
        wide = array.astype(np.float64) if dtype == BFLOAT16 and source != "f" else array
        found = wide.astype(dtype)
        finite = np.isfinite(found)
        if not overflow and not finite.all() and (lost := np.isfinite(array) & ~finite).any():
            index = int(lost.argmax())
            raise _range_error(index, array.reshape(-1)[index], info)
    return found


def unfit(info: TensorInfo, sent: str) -> Exception:
    """The problem of a column or array whose type does not fit the input's dtype."""
    return bad_input(
        f"input {quoted(info.name)} takes {info.dtype}, and the body has {sent}: convert it first"
    )


def bytes_array(values: Sequence[bytes]) -> Array:
    """Bytes as TensorFlow's strings: an array of objects."""
    found = np.empty(len(values), object)
    found[:] = values
    return found


def decode_b64(text: str, *, padded: bool = True) -> bytes:
    """Bytes from base64; blanks and line ends in it are skipped. Without `padded` its padding may be missing.

    Raises ValueError that says why.
    """
    try:
        coded = text.encode("ascii").translate(None, _BLANKS)
        if not padded and not coded.endswith(b"="):
            coded += b"=" * (-len(coded) % 4)
        return binascii.a2b_base64(coded, strict_mode=True)
    except UnicodeEncodeError as error:
        raise ValueError(f"character {error.start} is not in its alphabet") from error
    except binascii.Error as error:
        if "-" in text or "_" in text:
            hint = "; the alphabet is the one with + and /"
        else:
            hint = "; fill it up with = to a multiple of 4 characters" if "padding" in str(error) else ""
        raise ValueError(f"{str(error).lower()}{hint}") from error


def _floats(flat: Sequence[Any], dtype: np.dtype[Any], info: TensorInfo, overflow: bool) -> Array:
    try:
        wide = np.array(flat, np.float64)
    except OverflowError:
        raise _out_of_range(
            flat, lambda value: isinstance(value, int) and not _fits_float(value), info
        ) from None
    found = from_array(wide, info, overflow=overflow)
    if not np.isfinite(found).all():
        for index in np.flatnonzero(np.isinf(wide)).tolist():
            if not isinstance(flat[index], NonFinite):  # 1e400, which Python's parser takes for infinite
                raise _range_error(index, float(flat[index]), info)
    return found


def _fits_float(value: int) -> bool:
    try:
        float(value)
    except OverflowError:
        return False
    return True


def _integers(array: Array, dtype: np.dtype[Any], info: TensorInfo) -> Array:
    limits = np.iinfo(dtype)
    if array.size and not (limits.min <= int(array.min()) and int(array.max()) <= limits.max):
        flat = array.reshape(-1)
        # Python's integers, as NumPy compares int64 with uint64 by way of floats.
        low = flat < limits.min if array.dtype.kind == "i" else np.zeros(flat.shape, np.bool_)
        high = flat > limits.max if np.iinfo(array.dtype).max > limits.max else np.zeros(flat.shape, np.bool_)
        index = int((low | high).argmax())
        raise _range_error(index, int(flat[index]), info)
    return array.astype(dtype)


def _check_types(flat: Sequence[Any], types: set[type], wanted: set[type], info: TensorInfo) -> None:
    if types <= wanted:
        return
    index = next(index for index, value in enumerate(flat) if type(value) not in wanted)
    raise CellError(index, _mismatch(flat[index], info))


def _mismatch(value: Any, info: TensorInfo) -> str:
    """Why a value is none of the input's dtype."""
    text = shown(value)
    if info.dtype == "bool" and value is not None:
        return f"{text} is not true or false"
    match value:
        case None:
            reason = f"null is no {info.dtype}: send a value"
        case float() if type(value) is float and _may_be_integer(value):
            # So large an integer that the parser made a float of it.
            reason = f"{text} is out of range for {info.dtype}{_range_text(info)}"
        case float():
            reason = f"{text} is not an integer, and the model takes {info.dtype}"
        case str():
            reason = f"{text} is not a number: send {info.dtype} without quotes"
        case list():
            reason = f"a list stands where one {info.dtype} is wanted"
        case {"b64": _}:
            reason = f'{{"b64": ...}} is for strings, and the model takes {info.dtype}'
        case _:
            reason = f"{text} is not a number, and the model takes {info.dtype}"
    return reason


def _may_be_integer(value: float) -> bool:
    return math.isinf(value) or (value.is_integer() and abs(value) >= _BIGGEST_INT64)


def _strings(flat: Sequence[Any], types: set[type], padded: bool) -> Array:
    if types == {str}:
        with contextlib.suppress(UnicodeEncodeError):  # the loop below finds which
            return bytes_array([text.encode() for text in flat])
    found = []
    for index, value in enumerate(flat):
        if isinstance(value, str):
            try:
                found.append(value.encode())
            except UnicodeEncodeError:
                raise CellError(index, "the string has half of a surrogate pair: it is not Unicode") from None
        elif isinstance(value, dict) and value.keys() == {B64} and isinstance(value[B64], str):
            try:
                found.append(decode_b64(value[B64], padded=padded))
            except ValueError as error:
                raise CellError(index, f"the value of b64 is not base64 ({error})") from error
        else:
            raise CellError(
                index, f'{shown(value)} is not a string: send "text", or {{"{B64}": "..."}} for bytes'
            )
    return bytes_array(found)


def _out_of_range(flat: Sequence[Any], wrong: Callable[[Any], bool], info: TensorInfo) -> CellError:
    index = next(index for index, value in enumerate(flat) if wrong(value))
    return _range_error(index, flat[index], info)


def _range_error(index: int, value: Any, info: TensorInfo) -> CellError:
    plain = value.item() if isinstance(value, np.generic) else value
    return CellError(index, f"{shown(plain)} is out of range for {info.dtype}{_range_text(info)}")


def _range_text(info: TensorInfo) -> str:
    dtype = numpy_dtype(info)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return f" ({limits.min} to {limits.max})"
    return f" (up to {_largest(dtype):.5g})" if kind_of(dtype) == "f" else ""


def _largest(dtype: np.dtype[Any]) -> float:
    """The largest finite value of a float dtype."""
    limits: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call] # its stub has no types
    return float(limits.max)
