"""docs/decisions/: numbered without gaps, listed, and each with its four parts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.markdown import ROOT, links

_FOLDER: Final = ROOT / "docs" / "decisions"
_RECORDS: Final = sorted(_FOLDER.glob("[0-9]*.md"))
_PARTS: Final = ["Context", "Decision", "Consequences", "Figures"]


def test_records_are_numbered_from_1() -> None:
    assert [int(record.name[:4]) for record in _RECORDS] == [*range(1, len(_RECORDS) + 1)]


def test_the_index_lists_every_record() -> None:
    listed = [link for link in links((_FOLDER / "README.md").read_text()) if not link.startswith("..")]
    assert listed == [record.name for record in _RECORDS]


@pytest.mark.parametrize("record", _RECORDS, ids=lambda record: record.stem)
def test_a_record_has_its_number_and_four_parts(record: Path) -> None:
    text = record.read_text()
    assert text.startswith(f"# {int(record.name[:4])}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == _PARTS
