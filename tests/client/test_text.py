from __future__ import annotations

import pytest

from tfleet.client.text import printable, tsv_field


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tabby cat", "tabby cat"),
        ("Katze über Straße", "Katze über Straße"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("two\nlines", r"two\nlines"),
        ("\udcff.jpg", r"\udcff.jpg"),
    ],
)
def test_unprintable_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_field_holds_no_tab_and_no_line_end() -> None:
    assert tsv_field("a\tb\nc\rd\\e f") == r"a\tb\nc\rd\\e f"
