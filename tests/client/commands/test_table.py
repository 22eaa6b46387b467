from __future__ import annotations

import pytest
from rich.console import Console
from rich.text import Text

from tfleet.client.commands.table import Row, TableLayout, render_rows

FORM = TableLayout(("name", "where", "weight"), note="news", lines=((0, 2), (1,)), numbers=frozenset({2}))


def lines(width: int, *rows: tuple[str, str, str, str]) -> list[str]:
    made = [Row(tuple(map(Text, cells)), Text(note)) for *cells, note in rows]
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(render_rows(FORM, made, console.width))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_rows_that_fit_are_a_table() -> None:
    assert lines(40, ("a", "here", "1", ""), ("bb", "there", "10", "gone")) == [
        "name  where  weight  news",
        "a     here        1",
        "bb    there      10  gone",
    ]


def test_wide_rows_are_some_lines_each() -> None:
    assert lines(24, ("a", "here", "1", ""), ("bb", "there", "10", "gone for good")) == [
        "a   1 weight",
        "  here",
        "bb  10 weight",
        "  there",
        "  gone for good",
    ]


def test_a_long_note_fills_the_last_column_of_a_table() -> None:
    note = "it went away and nobody knows where it is"
    _, first, second = lines(53, ("a", "here", "1", note))
    assert first.startswith("a     here        1  it went away")
    assert second.startswith(" " * len("name  where  weight  ") + "w"), "words stay whole"


def test_an_empty_cell_leaves_no_hole() -> None:
    assert lines(12, ("a", "", "1", "")) == ["a  1 weight"]


@pytest.mark.parametrize("width", range(3, 60))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    found = lines(width, ("a-name-of-24-characters-", "somewhere", "1000", "a sentence of words"))
    assert max(map(len, found)) <= width
    assert "".join("".join(found).split()).count("somewhere") == 1


def test_wide_characters_count_twice() -> None:
    assert lines(26, ("名前", "here", "1", ""))[0] == "name  where  weight  news"
    assert lines(24, ("名前", "here", "1", ""))[0] == "名前  1 weight"
