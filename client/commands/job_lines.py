"""Lines about the jobs that wait in Redis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def job_lines(document: Mapping[str, Any]) -> list[str]:
    """A line for each Redis in the `jobs` of a proxy's document. A proxy without jobs has none."""
    rows = document.get("jobs")
    return [_line(row) for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _line(row: Mapping[str, Any]) -> str:
    where = f"jobs at {row.get('redis')}"
    if not row.get("up"):
        return f"{where}: it does not answer the proxy"
    waiting, oldest_s, dead = row.get("waiting", 0), row.get("oldest_waiting_s", 0), row.get("dead", 0)
    waits = f"waiting {waiting}" + (f" (the oldest for {oldest_s:g} s)" if waiting else "")
    hint = ": see `tfleet jobs dead`" if dead else ""
    return f"{where}: {waits}, running {row.get('running', 0)}, dead {dead}{hint}"
