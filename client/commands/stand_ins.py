"""Lines about the versions that a plan gives requests and that have no ready worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_MOST_SHOWN: Final = 20


def stand_in_lines(document: Mapping[str, Any]) -> list[str]:
    """A line for each version in the `stand_ins` of a proxy's document. An older proxy has none."""
    rows = document.get("stand_ins")
    found = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    lines = [_line(row) for row in found[:_MOST_SHOWN]]
    more = len(found) - _MOST_SHOWN
    return [*lines, f"and {more} more without a ready worker: see --json"] if more > 0 else lines


def _line(row: Mapping[str, Any]) -> str:
    percent, instead = row.get("percent"), row.get("stand_in")
    share = f"{percent:g} %" if isinstance(percent, int | float) else "requests"
    what = f"{row.get('model')}/{row.get('version')} gets {share} and has no ready worker"
    if instead is None:
        return f"{what}, and no other version has one: these requests get 503"
    return f"{what}: {f'version {instead} stands' if instead else 'workers without a version stand'} in"
