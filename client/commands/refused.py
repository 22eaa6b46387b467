"""Lines about the versions that a `tfleet up --models` can't use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_MOST_SHOWN: Final = 20


def refused_lines(document: Mapping[str, Any]) -> list[str]:
    """A line for each version in the `refused` of a proxy's document. An older proxy has none."""
    rows = document.get("refused")
    found = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    lines = [
        f"{row.get('model')}/{row.get('version')} can't be used: {refused_reason(row)}"
        for row in found[:_MOST_SHOWN]
    ]
    more = len(found) - _MOST_SHOWN
    return [*lines, f"and {more} more: see --json"] if more > 0 else lines


def refused_reason(row: Mapping[str, Any]) -> str:
    """Why a version can't be used, who says so and, if it may have ended, since when it says nothing."""
    stale = f", which has said nothing since {row.get('confirmed_at')}" if row.get("stale") is True else ""
    return f"{row.get('reason')} (tfleet up on {row.get('by')}{stale})"
