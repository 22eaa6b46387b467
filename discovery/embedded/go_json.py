"""Parsing JSON and durations as Go does: field names in any case, null for absent, unknown fields rejected;
"10s", "1m30s", "250ms".
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from tfleet.discovery.embedded.errors import RefusedRequestError

# https://pkg.go.dev/time#ParseDuration. The two letters for micro are U+00B5 and U+03BC.
_UNIT_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]*)")
_MAX_NS: Final = 2**63 - 1  # Go counts nanoseconds in an int64


class BadDurationError(ValueError):
    """The text is not a duration. The message is Go's."""


def parse_duration(text: str) -> float:
    """Parse a Go duration into seconds; may be negative.

    Raises BadDurationError if the text has no unit, an unknown one, or exceeds Go's 292 years.
    """
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in {"-", "+"} else text
    if rest == "0":
        return 0.0
    total_ns, at = 0.0, 0
    while part := _PART.match(rest, at):
        number, unit = part.groups()
        if not unit:
            raise BadDurationError(f'time: missing unit in duration "{text}"')
        if unit not in _UNIT_NS:
            raise BadDurationError(f'time: unknown unit "{unit}" in duration "{text}"')
        total_ns += float(number) * _UNIT_NS[unit]
        at = part.end()
    if not rest or at != len(rest) or total_ns > _MAX_NS:
        raise BadDurationError(f'time: invalid duration "{text}"')
    return sign * total_ns / 1e9


def from_nanoseconds(nanoseconds: float) -> float:
    """Convert a duration given as a JSON number, which means nanoseconds in Go, into seconds.

    Raises BadDurationError beyond Go's 292 years.
    """
    if not abs(nanoseconds) <= _MAX_NS:  # also where it is not a number
        raise BadDurationError(f"time: invalid duration {nanoseconds}")
    return nanoseconds / 1e9


class BadDocumentError(RefusedRequestError):
    """The body is not what the endpoint expects. The message begins with Consul's text."""

    def __init__(self, what: str) -> None:
        super().__init__(f"Request decode failed: {what}")


class Document:
    """One JSON object. Each getter returns its zero value where the field is absent or null.

    Each raises BadDocumentError, with the field's name, where the value has another type. Fields are asked
    for in lower case without underscores, which covers `CheckID` as well as the snake case that Consul takes
    too.
    """

    def __init__(self, value: object, known: Collection[str], *, where: str = "the body") -> None:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise BadDocumentError(f"{where} must be an object, not {_kind(value)}")
        self._values: dict[str, Any] = {}
        for name, field in value.items():
            key = name.lower().replace("_", "")
            if key not in known:
                raise BadDocumentError(f'json: unknown field "{_clean(name)}"')
            if field is not None:
                self._values[key] = field

    @classmethod
    def parse(cls, body: bytes, known: Collection[str]) -> Document:
        """Read a request's body. Raises BadDocumentError where it is not a JSON object with known fields."""
        try:
            value = json.loads(body)
        except RecursionError:
            raise BadDocumentError("nested too deeply") from None
        except ValueError as error:
            raise BadDocumentError(str(error)) from None
        return cls(value, known)

    def has(self, name: str) -> bool:
        """Whether the field is present and not empty."""
        return bool(self._values.get(name))

    def text(self, name: str) -> str:
        """A string."""
        return self._string(name, self._values.get(name, ""))

    def whole(self, name: str, default: int = 0) -> int:
        """An integer."""
        value = self._values.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**63:
            raise _mistyped(name, "a whole number", value)
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise _mistyped(name, "true or false", value)
        return value

    def seconds(self, name: str) -> float:
        """A duration, from Go's text or from a number of nanoseconds, in seconds."""
        value = self._values.get(name, 0)
        try:
            if isinstance(value, str):
                return parse_duration(_clean(value))
            if isinstance(value, int | float) and not isinstance(value, bool):
                return from_nanoseconds(value)
        except BadDurationError as error:
            raise BadDocumentError(str(error)) from None
        raise _mistyped(name, "a duration", value)

    def items(self, name: str) -> list[Any]:
        """A list of anything."""
        value = self._values.get(name, [])
        if not isinstance(value, list):
            raise _mistyped(name, "a list", value)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        return tuple(self._string(name, item) for item in self.items(name))

    def mapping(self, name: str) -> Mapping[str, Any]:
        """An object with names that are data, not fields."""
        value = self._values.get(name, {})
        if not isinstance(value, dict):
            raise _mistyped(name, "an object", value)
        return {_clean(key): item for key, item in value.items()}

    def text_mapping(self, name: str) -> Mapping[str, str]:
        """An object of strings."""
        return {key: self._string(name, item) for key, item in self.mapping(name).items()}

    def raw(self, name: str) -> object:
        """The value as it is, for a Document of its own."""
        return self._values.get(name)

    @staticmethod
    def _string(name: str, value: object) -> str:
        if not isinstance(value, str):
            raise _mistyped(name, "a string", value)
        return _clean(value)


def _clean(text: str) -> str:
    """Without lone surrogates, which JSON can spell and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


def _kind(value: object) -> str:
    names: dict[type, str] = {str: "a string", list: "a list", dict: "an object", bool: "a boolean"}
    return names.get(type(value), "a number")


def _mistyped(name: str, expected: str, value: object) -> BadDocumentError:
    return BadDocumentError(f"{name} must be {expected}, not {_kind(value)}")
