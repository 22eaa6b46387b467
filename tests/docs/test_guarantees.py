"""docs/guarantees.md: each promise names a test that exists."""

from __future__ import annotations

import re
from typing import Final

from tests.docs.markdown import ROOT, cells

_PAGE: Final = (ROOT / "docs" / "guarantees.md").read_text()
_ROWS: Final = [
    cells(line) for line in _PAGE.splitlines() if line.startswith("| ") and not line.startswith("| promise |")
]
_TEST: Final = re.compile(r"`(?P<file>tests/[\w/]+\.py)::(?P<name>test_\w+)`")


def test_each_promise_names_a_test_or_a_measurement() -> None:
    bare = [row[0] for row in _ROWS if not _TEST.search(row[1]) and "`make bench" not in row[1]]
    assert bare == []
    assert len(_ROWS) > 50


def test_each_test_that_is_named_exists() -> None:
    missing = []
    for row in _ROWS:
        for file, name in _TEST.findall(row[1]):
            path = ROOT / file
            if not path.exists() or not re.search(rf"def {name}\b", path.read_text()):
                missing.append(f"{file}::{name}")
    assert missing == []
