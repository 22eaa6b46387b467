"""Pieces of Markdown that the sections have in common, and how a section gets into the page."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from benchmarks.report.bar import Bar
from benchmarks.report.spread import Spread

TITLES: Final = {
    "rows": "Rows",
    "photographs": "Photographs",
    "fleet": "A fleet",
    "spark": "Spark",
    "kills": "Kills",
}
"""The sections, in the order of the page."""

_WIDTH: Final = 118

HEAD: Final = """# Work in bulk

`tfleet score` beside what people write without it. Each section is measured by a command of its own, and
may be from another day or machine: compare figures within a section only.
`.venv/bin/python -m benchmarks.bulk` measures all of them.
"""


def paragraph(*sentences: str) -> list[str]:
    """The sentences in lines of the width that all pages have."""
    return textwrap.wrap(" ".join(sentences), _WIDTH, break_long_words=False, break_on_hyphens=False)


def spread_text(values: Iterable[float], digits: int) -> str:
    """The middle and, where there are several, the least and the most."""
    listed = list(values)
    found = Spread.of(listed)
    middle = f"{found.middle:,.{digits}f}"
    return middle if len(listed) == 1 else f"{middle} ({found.low:,.{digits}f} to {found.high:,.{digits}f})"


def bar_lines(bars: Sequence[Bar]) -> list[str]:
    """A table of targets, and how they went."""
    lines = ["| bar | wanted | found | |", "|---|---|---|---|"]
    for bar in bars:
        found, digits = bar.found, 2 if bar.found.middle < 10 else 0
        one = found.low == found.high
        values = [found.middle] if one else [found.low, found.middle, found.high]
        lines.append(
            f"| {bar.what} | {bar.bound} | {spread_text(values, digits)}{bar.unit} | {bar.verdict} |"
        )
    return lines


def with_section(
    page: str, name: str, lines: Sequence[str], titles: Mapping[str, str] = TITLES, head: str = HEAD
) -> str:
    """The page with this section, new or instead of the one that it had; the others stay as they are.

    `titles` are those of the page's sections, in their order, and `head` is what stands before them.
    """
    sections = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", page, re.MULTILINE))
    sections[titles[name]] = "\n" + "\n".join(lines).strip() + "\n"
    ordered = [title for title in titles.values() if title in sections]
    return head + "".join(f"\n## {title}\n\n{sections[title].strip()}\n" for title in ordered)
