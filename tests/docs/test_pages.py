"""Every Markdown file: links lead somewhere, what is named exists, and lines fit a narrow window."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from tests.docs.markdown import PAGES, ROOT, anchors, cells, code_spans, links, prose

_LONGEST_LINE: Final = 120
_LONGEST_CELL: Final = 200
_TOP_LEVEL: Final = frozenset(path.name for path in ROOT.iterdir())
_NOT_OURS: Final = frozenset({".venv", "build", "models"})
"""Not in git, or the user's own."""
_PATH: Final = re.compile(r"^(?P<path>(?:[\w.-]+/)+[\w.-]*)(?:::\w+)?$")
_MODULE_FILE: Final = re.compile(r"^(?P<path>[\w.-]+\.py)(?:::\w+)?$")
_RUN_AS_MODULE: Final = re.compile(r"python -m (?P<module>(?:benchmarks|tests|tools|tfleet)[\w.]*)")
_MAKE_TARGET: Final = re.compile(r"\bmake (?P<target>[a-z][a-z-]+)")
_LEFT_OPEN: Final = re.compile(r"\b(?:TODO|FIXME|XXX|TBD|[A-Z]+_FIGURES)\b")
_DIAGRAM: Final = re.compile(r"^```mermaid\n(.*?)^```", re.DOTALL | re.MULTILINE)
_IN_DIAGRAM: Final = re.compile(r"(?:[\w-]+/)+[\w-]*(?:\.\w+)?")
_FOREIGN: Final = frozenset({"label_image.py"})
"""Files of other projects."""
_HISTORY: Final = ROOT / "CHANGELOG.md"
"""Names what was there at the time."""


def test_every_link_leads_somewhere() -> None:
    assert _found_in_pages(_broken_links) == {}


def _broken_links(page: Path) -> list[str]:
    broken = []
    for link in links(page.read_text()):
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        if "://" in link or link.startswith("mailto:"):
            continue
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    return broken


def test_lines_have_a_bounded_length() -> None:
    assert _found_in_pages(_long_lines) == {}


def _long_lines(page: Path) -> list[int]:
    return [
        number
        for number, line in prose(page.read_text())
        if len(line) > _LONGEST_LINE and not line.startswith("|")
    ]


def test_table_cells_have_a_bounded_length() -> None:
    assert _found_in_pages(_long_cells) == {}


def _long_cells(page: Path) -> list[tuple[int, int]]:
    return [
        (number, len(cell))
        for number, line in prose(page.read_text())
        for cell in cells(line)
        if len(cell) > _LONGEST_CELL
    ]


def test_every_path_that_is_named_exists() -> None:
    assert _found_in_pages(_missing_paths) == {}


def _missing_paths(page: Path) -> list[str]:
    if page == _HISTORY:
        return []
    text = page.read_text()
    named = [*code_spans(text), *_IN_DIAGRAM.findall("".join(_DIAGRAM.findall(text)))]
    missing = [span for span in named if not _is_there(span)]
    return missing + [module for module in _RUN_AS_MODULE.findall(text) if not _can_be_run(module)]


def test_every_make_target_that_is_named_exists() -> None:
    assert _found_in_pages(_missing_targets) == {}


def _missing_targets(page: Path) -> list[str]:
    spans = code_spans(page.read_text())
    named = {target for span in spans for target in _MAKE_TARGET.findall(span) if span.startswith("make ")}
    return sorted(named - _make_targets() - {"bench-"})


def test_no_placeholder_is_left() -> None:
    assert _found_in_pages(lambda page: _LEFT_OPEN.findall(page.read_text())) == {}


def _found_in_pages(find: Callable[[Path], Sequence[object]]) -> dict[str, Sequence[object]]:
    """What is wrong, by page; without the pages that are right."""
    assert len(PAGES) > 50
    found = {str(page.relative_to(ROOT)): find(page) for page in PAGES}
    return {page: what for page, what in found.items() if what}


@cache
def _anchors(page: Path) -> set[str]:
    return anchors(page.read_text())


@cache
def _make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def _module_files() -> frozenset[str]:
    folders = _TOP_LEVEL - _NOT_OURS
    return frozenset(path.name for folder in folders for path in (ROOT / folder).glob("**/*.py"))


def _is_there(span: str) -> bool:
    """Whether a span is no path of the tree, or one that exists."""
    if found := _MODULE_FILE.match(span):
        return found["path"] in _module_files() | _FOREIGN
    found = _PATH.match(span)
    if found is None or found["path"].split("/")[0] not in _TOP_LEVEL - _NOT_OURS:
        return True
    return (ROOT / found["path"]).exists()


def _can_be_run(module: str) -> bool:
    path = (ROOT / "src" if module.startswith("tfleet") else ROOT) / module.replace(".", "/")
    return (
        module == "benchmarks.FOLDER.NAME"
        or path.with_suffix(".py").exists()
        or (path / "__main__.py").exists()
    )
