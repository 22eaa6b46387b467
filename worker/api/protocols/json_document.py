"""Parse a JSON document of bounded cost, without losing anything that it says.

orjson takes a sixth of the time of Python's `json`. It has four gaps, which are closed here:

- Of two equal keys in an object it keeps the last. Each key has one colon: where a document has more colons
  than were seen in what was read (keys, and strings with colons), one may occur twice, and Python's parser
  finds out which.
- It has no NaN and Infinity, which are no JSON, though Python and TensorFlow Serving write them. A document
  with such a word goes to Python's parser.
- It refuses a whole document for a number beyond float64, or for half of a surrogate pair, and names no row.
  Python's parser reads such values, and whoever converts them names their place.
- Integers over 64 bits become floats. No integer input takes a float, and a float input rounds them anyway.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.dtypes import NonFinite
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.problems import bad_input, quoted, too_large

_BOM: Final = b"\xef\xbb\xbf"
_ESCAPED_COLON: Final = b"\\u003"  # or ; < = > ?
_NO_JSON: Final = re.compile(rb"NaN|Infinity")
_ONE_VALUE: Final = re.compile("infinity|surrogate")  # in orjson's reasons
_MOST_DIGITS: Final = 400  # more than the largest float64 has; Python takes seconds for a million of them
_MAX_REASON: Final = 120
_BAD_REQUEST: Final = 400
# What is taken while a document is read: a number, its places in lists, and its place in an array.
_VALUE_BYTES: Final = 64
_OBJECT_BYTES: Final = 200
_TEXT_BYTES: Final = 2  # a character in a str, and in the bytes that it becomes
_WIDE_TEXT_BYTES: Final = 5


@dataclass(frozen=True, slots=True)
class JsonDocument:
    """A parsed document, and the body that it was read from."""

    value: Any
    body: bytes

    def check_keys(self, colons: int) -> None:
        """Raise ProblemError (400) if a key occurs twice in an object, or if Python cannot parse the body.

        `colons` is what a document without such keys has: one for each key, and those in keys and strings.
        """
        # An escaped colon is in a string, but not in the body, so it could stand in for a double key's.
        if self.body.count(b":") != colons or _has_escape(self.body, _ESCAPED_COLON):
            _python_parsed(self.body, object_pairs_hook=_object)


def parse(body: bytes, limits: InputLimits) -> JsonDocument:
    """The document in a body. Raises ProblemError: 400 if it is no JSON, 413 if it is over a limit."""
    body = body.removeprefix(_BOM)
    _check_cost(body, limits)
    try:
        return JsonDocument(orjson.loads(body), body)
    except orjson.JSONDecodeError as error:
        if _NO_JSON.search(body) is None and not _ONE_VALUE.search(str(error)):
            raise _not_json(str(error)) from error
    return JsonDocument(_python_parsed(body, parse_constant=NonFinite, parse_int=_integer), body)


def parse_first(body: bytes, limits: InputLimits) -> JsonDocument:
    """As `parse`, but what follows the document in the body is ignored."""
    try:
        return parse(body, limits)
    except ProblemError as error:
        end = _end_of_first(body) if error.problem.status == _BAD_REQUEST else None
        if end is None:
            raise
    return parse(body[:end], limits)


def _end_of_first(body: bytes) -> int | None:
    """Where the first of several documents ends; None where none begins, or where nothing follows it."""
    text = body.removeprefix(_BOM).decode("utf-8", "surrogateescape").lstrip()
    try:
        _, end = json.JSONDecoder(parse_int=_integer).raw_decode(text)
    except (ValueError, RecursionError):
        return None
    rest = text[end:]
    return len(body) - len(rest.encode("utf-8", "surrogateescape")) if rest.strip() else None


def _python_parsed(
    body: bytes,
    *,
    parse_constant: Callable[[str], Any] | None = None,
    parse_int: Callable[[str], Any] | None = None,
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """What Python's parser reads. Raises ProblemError (400): it refuses some of what orjson reads, too."""
    try:
        return json.loads(
            body.decode(),
            parse_constant=parse_constant,
            parse_int=parse_int,
            object_pairs_hook=object_pairs_hook,
        )
    except RecursionError as error:
        raise bad_input("the JSON document is nested too deeply") from error
    except ValueError as error:  # not UTF-8, no JSON, or an integer of thousands of digits
        raise _not_json(str(error)) from error


def _check_cost(body: bytes, limits: InputLimits) -> None:
    values = body.count(b",") + body.count(b"[") + 1
    if values > limits.values:
        raise too_large(
            f"the JSON document has about {values} values, more than the {limits.values} allowed: "
            "send fewer "
            "rows at once, or an Arrow stream or .npy"
        )
    objects = body.count(b"{")
    if objects > limits.json_objects:
        raise too_large(
            f"the JSON document has about {objects} objects, more than the {limits.json_objects} "
            "allowed: send "
            "fewer rows at once, or an Arrow stream"
        )
    # One character beyond 16 bits makes all of its string wide.
    wide = not body.isascii() or _has_escape(body, b"\\u")
    text = (_WIDE_TEXT_BYTES if wide else _TEXT_BYTES) * len(body)
    limits.reserve(values * _VALUE_BYTES + objects * _OBJECT_BYTES + text)


def _has_escape(body: bytes, escape: bytes) -> bool:
    """Whether the document has it. A search for one byte takes a twentieth of the time of one for two."""
    return b"\\" in body and escape in body


def _integer(text: str) -> int | float:
    """An integer; infinite where it is far beyond float64, as Python's parser makes it of 1e400."""
    return int(text) if len(text) <= _MOST_DIGITS else math.inf


def _not_json(reason: str) -> Exception:
    return bad_input(f"the body is not JSON: {reason[:_MAX_REASON]}")


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise bad_input(f"{quoted(twice)} occurs twice in an object of the JSON document: send it once")
    return found
