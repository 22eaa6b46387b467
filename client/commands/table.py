"""Render rows for a terminal: as a table if it is wide enough, otherwise as several lines for each row.

A table that does not fit would cut ids in the middle and print an error one letter a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

_GAP: Final = 2
_NOTE_COLUMNS: Final = 32
"""The least width of the last column in a table, where a row has a longer note."""


@dataclass(frozen=True, slots=True)
class Row:
    """`cells` are short and are never cut. `note` is a sentence; it may be empty or need several lines."""

    cells: tuple[Text, ...]
    note: Text


@dataclass(frozen=True, slots=True)
class TableLayout:
    """The headings of the columns, and how cells are arranged in lines if a table does not fit.

    `numbers` are the columns with a number, which keeps its heading outside of a table. `lines` says which
    columns share a line.
    """

    headings: tuple[str, ...]
    note: str
    lines: tuple[tuple[int, ...], ...]
    numbers: frozenset[int] = frozenset()


def render_rows(form: TableLayout, rows: Sequence[Row], width: int) -> RenderableType:
    """Render the rows for a terminal of `width` columns."""
    return _table(form, rows) if _table_width(form, rows) <= width else _blocks(form, rows, width)


def _table_width(form: TableLayout, rows: Sequence[Row]) -> int:
    widths = [
        max([len(heading), *(row.cells[column].cell_len for row in rows)])
        for column, heading in enumerate(form.headings)
    ]
    note = max([len(form.note), *(min(row.note.cell_len, _NOTE_COLUMNS) for row in rows)])
    return sum(widths) + note + _GAP * len(widths)


def _table(form: TableLayout, rows: Sequence[Row]) -> Table:
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for number, heading in enumerate(form.headings):
        table.add_column(heading, no_wrap=True, justify="right" if number in form.numbers else "left")
    table.add_column(form.note, overflow="fold")
    for row in rows:
        table.add_row(*row.cells, row.note)
    return table


def _blocks(form: TableLayout, rows: Sequence[Row], width: int) -> Group:
    """Several lines for each row: the first one not indented, the note last."""
    labelled = [_labelled(form, row) for row in rows]
    lines: list[RenderableType] = []
    widths = [max(cells[column].cell_len for cells in labelled) for column in range(len(form.headings))]
    for row, cells in zip(rows, labelled, strict=True):
        for number, columns in enumerate(form.lines):
            indent = 0 if number == 0 else _GAP
            fits = indent + sum(widths[column] + _GAP for column in columns) - _GAP <= width
            if line := _joined([cells[c] for c in columns], [widths[c] if fits else 0 for c in columns]):
                lines.append(Padding(line, (0, 0, 0, indent), expand=False))
        if row.note:
            lines.append(Padding(row.note, (0, 0, 0, _GAP), expand=False))
    return Group(*lines)


def _labelled(form: TableLayout, row: Row) -> tuple[Text, ...]:
    return tuple(
        Text.assemble(cell, f" {form.headings[number]}") if number in form.numbers else cell
        for number, cell in enumerate(row.cells)
    )


def _joined(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    """The cells that are not empty in one line, each as wide as the widest of its column."""
    line = Text(overflow="fold")
    for cell, width in zip(cells, widths, strict=True):
        if cell:
            line.append_text(cell)
            line.append(" " * (max(width - cell.cell_len, 0) + _GAP))
    line.rstrip()
    return line
