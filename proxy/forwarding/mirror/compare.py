"""Whether a canary's answer says the same as the stable version's. Pure functions.

The rules:

- Of JSON, `predictions`, `outputs` or `results` are compared; all else names the version or the request. Of
  the tensors of the Open Inference Protocol, the values are.
- Of labels, the first one counts (top-1). So does the largest of numbers that add up to 1, as probabilities
  do. Other numbers have no top-1: which of them is a class, or a row, the answer does not say.
- Texts, truth values and whole numbers are the same or not. Of floats the largest difference is taken.
- Other names or shapes can't be compared. Nor can any form but JSON, unless both are the same bytes.
- A NaN is the same as a NaN, and an infinity as the same infinity. Anything else beside them is different.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from tfleet.proxy.balancing.mirror_counts import MirrorResult

MAX_COMPARED_BYTES: Final = 32 * 1024
"""Longer answers are not compared: the event loop stands still meanwhile, for 2 ms with 2,700 floats."""

_SUCCESS: Final = range(200, 300)
_JSON: Final = b"application/json"
_IDENTITY: Final = b"identity"
_COMPARED: Final = ("predictions", "outputs", "results")
_TENSOR: Final = ("name", "datatype", "shape")
_LABEL: Final = "label"
_VALUES: Final = ("probability", "score")
_NUMBERS: Final = frozenset({int, float})  # and not bool, which is a whole number to Python
_SUM_TOLERANCE: Final = 0.01
"""How far probabilities may be from a sum of 1: float16 has three digits."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a worker, whole."""

    status: int
    content_type: bytes
    content_encoding: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result, and the largest difference between two numbers at the same place."""

    result: MirrorResult
    difference: float = 0.0


class _OtherShapeError(Exception):
    """The values are not made alike."""


@dataclass(slots=True)
class _Seen:
    """What was found so far: `same` and `other` are about top-1s, texts and whole numbers."""

    same: bool = False
    other: bool = False
    difference: float = 0.0


def is_success(status: int) -> bool:
    """Whether it is an answer to compare, and no refusal or failure."""
    return status in _SUCCESS


def compare(stable: Answer, canary: Answer) -> Comparison:
    """Compare the canary's answer to a request with that of the stable version, which succeeded."""
    if not is_success(canary.status):
        return Comparison(MirrorResult.DIFFERED)
    if (stable.content_type, stable.body) == (canary.content_type, canary.body):
        return Comparison(MirrorResult.AGREED)
    if not (_is_json(stable) and _is_json(canary)):
        return Comparison(MirrorResult.NOT_COMPARABLE)
    seen = _Seen()
    try:
        _compare(*_contents(stable.body, canary.body), seen)
    # OverflowError: a whole number that no float can hold.
    except (_OtherShapeError, ValueError, OverflowError, RecursionError):
        return Comparison(MirrorResult.NOT_COMPARABLE)
    return Comparison(_result(seen), seen.difference)


def _result(seen: _Seen) -> MirrorResult:
    if seen.other:
        return MirrorResult.DIFFERED
    return MirrorResult.AGREED if seen.same or not seen.difference else MirrorResult.MEASURED


def _is_json(answer: Answer) -> bool:
    return answer.content_type.lower().startswith(_JSON) and answer.content_encoding in {b"", _IDENTITY}


def _contents(stable: bytes, canary: bytes) -> tuple[Any, Any]:
    """What is to be compared of two documents."""
    documents = json.loads(stable), json.loads(canary)
    if all(isinstance(document, dict) for document in documents):
        for name in _COMPARED:
            if all(name in document for document in documents):
                contents = documents[0][name], documents[1][name]
                return _values_of_tensors(*contents) if all(map(_are_tensors, contents)) else contents
    raise _OtherShapeError


def _are_tensors(outputs: Any) -> bool:
    """Whether these are outputs of the Open Inference Protocol."""
    return type(outputs) is list and all(
        type(each) is dict and each.keys() >= {*_TENSOR, "data"} and type(each["data"]) is list
        for each in outputs
    )


def _values_of_tensors(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> tuple[Any, Any]:
    """Their values in rows, if they are alike: their names and types say nothing of the values."""
    if [[each[key] for key in _TENSOR] for each in one] != [[each[key] for key in _TENSOR] for each in other]:
        raise _OtherShapeError
    return list(map(_in_rows, one)), list(map(_in_rows, other))


def _in_rows(tensor: dict[str, Any]) -> list[Any]:
    shape: Any = tensor["shape"]
    data: list[Any] = tensor["data"]
    width = shape[-1] if type(shape) is list and len(shape) > 1 else None
    if type(width) is not int or width <= 0 or len(data) % width or {list}.issuperset(map(type, data)):
        return data
    return [data[at : at + width] for at in range(0, len(data), width)]


def _compare(one: Any, other: Any, seen: _Seen) -> None:
    if isinstance(one, list) and isinstance(other, list):
        _compare_lists(one, other, seen)
    elif isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            raise _OtherShapeError
        for name, value in one.items():
            _compare(value, other[name], seen)
    elif _are_numbers([one, other]):
        _compare_rows([[one]], [[other]], seen)
    elif type(one) is type(other):
        _found(one == other, seen)
    else:
        raise _OtherShapeError


def _compare_lists(one: list[Any], other: list[Any], seen: _Seen) -> None:
    if _is_ranking(one) and _is_ranking(other):
        _compare_rankings(one, other, seen)
    elif len(one) != len(other):
        raise _OtherShapeError
    elif _are_numbers(one) and _are_numbers(other):
        _compare_rows([one], [other], seen)
    elif _are_rows(one) and _are_rows(other) and list(map(len, one)) == list(map(len, other)):
        _compare_rows(one, other, seen)
    else:
        for value, at_same_place in zip(one, other, strict=True):
            _compare(value, at_same_place, seen)


def _compare_rankings(one: list[Any], other: list[Any], seen: _Seen) -> None:
    """Labels, best first. Their numbers may differ: another version may know more of them."""
    _found(one[0][_LABEL] == other[0][_LABEL], seen)
    for name in _VALUES:
        values = {str(entry[_LABEL]): entry[name] for entry in other if type(entry.get(name)) in _NUMBERS}
        known = [
            (entry[name], values[label])
            for entry in one
            if type(entry.get(name)) in _NUMBERS and (label := str(entry[_LABEL])) in values
        ]
        _take_difference([value for value, _ in known], [value for _, value in known], seen)


def _compare_rows(one: list[list[Any]], other: list[list[Any]], seen: _Seen) -> None:
    """Lists of numbers, each of the same length as the one at the same place."""
    numbers, others = list(chain.from_iterable(one)), list(chain.from_iterable(other))
    if {int}.issuperset(map(type, chain(numbers, others))):
        _found(numbers == others, seen)
        return
    for row, at_same_place in zip(one, other, strict=True):
        if _are_probabilities(row):
            _found(row.index(max(row)) == at_same_place.index(max(at_same_place)), seen)
    if numbers != others:
        _take_difference(numbers, others, seen)


def _take_difference(one: list[Any], other: list[Any], seen: _Seen) -> None:
    differences = [abs(value - at_same_place) for value, at_same_place in zip(one, other, strict=True)]
    if not all(map(math.isfinite, differences)):
        pairs = [(a, b) for a, b in zip(one, other, strict=True) if not _are_same(a, b)]
        differences = [abs(a - b) for a, b in pairs]
        if not all(map(math.isfinite, differences)):
            seen.other = True
        differences = list(filter(math.isfinite, differences))
    seen.difference = max(seen.difference, *map(float, differences), 0.0)


def _are_same(one: float, other: float) -> bool:
    # A NaN is no number, so it is not even the same as itself.
    return one == other or (math.isnan(one) and math.isnan(other))


def _found(same: bool, seen: _Seen) -> None:
    if same:
        seen.same = True
    else:
        seen.other = True


def _are_numbers(values: list[Any]) -> bool:
    return bool(values) and _NUMBERS.issuperset(map(type, values))


def _are_rows(values: list[Any]) -> bool:
    """Whether they are lists of numbers. There may be thousands of one number each: this has to be quick."""
    return {list}.issuperset(map(type, values)) and _are_numbers(list(chain.from_iterable(values)))


def _are_probabilities(values: Sequence[float]) -> bool:
    if len(values) < 2 or not all(0 <= value <= 1 for value in values):  # noqa: PLR2004 - no choice of one
        return False
    return abs(math.fsum(values) - 1) <= _SUM_TOLERANCE


def _is_ranking(values: list[Any]) -> bool:
    return bool(values) and all(type(value) is dict and _LABEL in value for value in values)
