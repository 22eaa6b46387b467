"""What the pictures of bulk runs have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from benchmarks.report.spread import Spread

OURS: Final = "#0b6e99"
KERAS: Final = "#e07a3f"
SPARK: Final = "#b8860b"
_WIDTH: Final = 0.8  # of the room that a group of bars has


def bars(axes: Any, found: Sequence[Spread], place: tuple[int, int], colour: str, label: str) -> None:
    """A bar in each group; `place` is its number in the group, and how many a group has."""
    number, count = place
    width = _WIDTH / count
    for group, value in enumerate(found):
        where = group + (number - (count - 1) / 2) * width
        axes.bar(where, value.middle, width * 0.92, color=colour, label=label if group == 0 else None)
        reach = [[value.middle - value.low], [value.high - value.middle]]
        axes.errorbar(where, value.middle, reach, color="#333333", linewidth=1, capsize=2)
        axes.text(where, value.high, f"{value.middle:.3g}", ha="center", va="bottom", fontsize=8)
