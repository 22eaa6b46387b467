"""The header Server-Timing, as far as the fleet uses it (https://www.w3.org/TR/server-timing/)."""

from __future__ import annotations

import re

from tfleet.client.result import Timing

# `name;dur=1.5`, with other parameters before or after. Names and numbers hold no comma and no semicolon.
_METRIC = re.compile(
    r"""^\s*(?P<name>[\w-]+)\s*(?:;.*?)?;\s*dur\s*=\s*"?(?P<dur>\d+(?:\.\d+)?)"?\s*(?:;|$)"""
)


def parse_server_timing(header: str) -> Timing:
    """Read decode, queue and infer; what is missing or unreadable is None, other metrics are passed over."""
    durations: dict[str, float] = {}
    for metric in header.split(","):
        if match := _METRIC.match(metric):
            durations.setdefault(match["name"], float(match["dur"]))
    return Timing(durations.get("decode"), durations.get("queue"), durations.get("infer"))
