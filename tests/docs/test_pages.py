"""Every Markdown file: links lead somewhere, what is named exists, and lines fit a narrow window."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pytest

from tests.docs.markdown import PAGES, ROOT, anchors, cells, code_spans, links, prose

_LONGEST_LINE: Final = 120
_LONGEST_CELL: Final = 200
_MAKE_TARGET: Final = re.compile(r"\bmake (?P<target>[a-z][a-z-]+)")
_LEFT_OPEN: Final = re.compile(r"\b(?:TODO|FIXME|XXX|TBD|[A-Z]+_FIGURES)\b")
_BEING_REWRITTEN: Final = frozenset(
    ROOT / page
    for page in (
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/benchmarks/README.md",
    )
)


each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page.read_text()):
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        if "://" in link or link.startswith("mailto:"):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []


@each_page
def test_no_line_is_longer_than_a_window(page: Path) -> None:
    if page in _BEING_REWRITTEN:
        return
    long_lines = [
        number
        for number, line in prose(page.read_text())
        if len(line) > _LONGEST_LINE and not line.startswith("|")
    ]
    assert long_lines == []


@each_page
def test_no_table_cell_is_an_essay(page: Path) -> None:
    if page in _BEING_REWRITTEN:
        return
    long_cells = [
        (number, len(cell))
        for number, line in prose(page.read_text())
        for cell in cells(line)
        if len(cell) > _LONGEST_CELL
    ]
    assert long_cells == []


@each_page
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    spans = [*code_spans(page.read_text())]
    named = {target for span in spans for target in _MAKE_TARGET.findall(span) if span.startswith("make ")}
    assert sorted(named - targets - {"bench-"}) == []


@each_page
def test_nothing_was_left_to_be_filled_in(page: Path) -> None:
    assert _LEFT_OPEN.findall(page.read_text()) == []
