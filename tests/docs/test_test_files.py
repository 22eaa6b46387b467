"""What CONTRIBUTING.md promises of the tests: short names, short files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.docs.markdown import ROOT

_LONGEST_NAME: Final = 59
_LONGEST_FILE: Final = 400
_TEST: Final = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)


def test_the_names_of_tests_have_less_than_60_characters() -> None:
    names = {path: _TEST.findall((ROOT / path).read_text()) for path in _test_files()}
    assert sum(map(len, names.values())) > 2000
    assert [f"{path}: {name}" for path in names for name in names[path] if len(name) > _LONGEST_NAME] == []


def test_no_file_of_tests_has_over_400_lines() -> None:
    lines = {path: len((ROOT / path).read_text().splitlines()) for path in _test_files()}
    assert [path for path, number in lines.items() if number > _LONGEST_FILE] == []


def _test_files() -> list[Path]:
    found = [path.relative_to(ROOT) for path in sorted((ROOT / "tests").rglob("*.py"))]
    assert len(found) > 300
    return found
