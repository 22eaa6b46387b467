"""Durations as Go writes them, for TTLs and waits: "10s", "1m30s", "250ms"."""

from __future__ import annotations

import re
from typing import Final

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
    """Seconds of a Go duration; may be negative.

    Raises BadDurationError where the text has no unit, an unknown one, or exceeds Go's 292 years.
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
    """Seconds of a duration that came as a JSON number, which to Go is nanoseconds.

    Raises BadDurationError beyond Go's 292 years.
    """
    if not abs(nanoseconds) <= _MAX_NS:  # also where it is not a number
        raise BadDurationError(f"time: invalid duration {nanoseconds}")
    return nanoseconds / 1e9
