"""Where rows come from, and how a place in the input is named.

A place has to mean the same in each run, whenever the run before it was killed. So a source reads in pieces
whose ends depend on the input alone, and a part of the output ends where a piece ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import pyarrow as pa

PIECE_ROWS: Final = 16_384
"""The most rows of a piece."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A row of the input, which may be the one behind the last.

    `file` is the number of its file. `offset` is where it begins, in bytes of a text file and in rows of any
    other. `row` is how many rows of the file come before it.
    """

    file: int = 0
    offset: int = 0
    row: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that follow each other in one file.

    `errors` says of some of them, by their index, why they could not be read; their values are null.
    `first_row` is the number of the first one in its file. `end` is the place behind the last one.
    """

    batch: pa.RecordBatch
    first_row: int
    end: Place
    errors: Mapping[int, str] = field(default_factory=dict)


class Source(Protocol):
    """One file of rows."""

    @property
    def name(self) -> str:
        """The file, for messages."""

    @property
    def columns(self) -> Sequence[str]:
        """The names of its columns."""

    @property
    def rows(self) -> int | None:
        """How many rows it has; None where that is not known before they are read."""

    def schema(self, columns: Sequence[str]) -> pa.Schema:
        """The types of these columns, as `pieces` gives them."""

    def pieces(self, start: Place, columns: Sequence[str]) -> Iterator[Piece]:
        """The rows from `start` on, with these columns. Raises RunFailedError for a file that breaks off."""
