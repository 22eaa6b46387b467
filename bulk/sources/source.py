"""Where rows come from, and how a place in the input is named.

A place has to mean the same in each run, whenever the run before it was killed. So a source reads in pieces
whose ends depend on the input alone, and a part of the output ends where a piece ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import pyarrow as pa

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.sources.files import InputDigest
from tfleet.worker.api.protocols.problems import quoted

_PIECE_ROWS: Final = 16_384
_LEAST_RECORD_BYTES: Final = 1024 * 1024
_MOST_RECORD_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PieceLimits:
    """What a piece may have at most. The bytes are those that a file tells before it is read."""

    rows: int
    bytes: int

    @property
    def record_bytes(self) -> int:
        """What a row of text may have. As objects of Python it takes up to twenty times as much."""
        return min(max(2 * self.bytes, _LEAST_RECORD_BYTES), _MOST_RECORD_BYTES)


def piece_limits(part_rows: int, piece_bytes: int) -> PieceLimits:
    """The limits of pieces for parts of so many rows, so that a part has not many more."""
    return PieceLimits(min(part_rows, _PIECE_ROWS), piece_bytes)


def fewer_rows(limits: PieceLimits, row_bytes: int, most_bytes: int) -> PieceLimits:
    """The limits of pieces of which the rows take no more bytes in the output."""
    return replace(limits, rows=max(min(limits.rows, most_bytes // row_bytes), 1))


@dataclass(frozen=True, slots=True, order=True)
class InputPlace:
    """A row of the input, which may be the one behind the last.

    `file` is the number of its file, and `row` is how many rows of the file come before it. In a text file it
    is `skip` rows behind the byte `offset`.
    """

    file: int = 0
    row: int = 0
    offset: int = 0
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that follow each other in one file.

    `errors` says of some of them, by their index, why they could not be read; their values are null.
    `first_row` is the number of the first one in its file. `end` is the place behind the last one.
    """

    batch: pa.RecordBatch
    first_row: int
    end: InputPlace
    errors: Mapping[int, str] = field(default_factory=dict)


class RowSource(Protocol):
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

    def digest(self) -> InputDigest:
        """What the manifest says of it. Raises CannotScoreError."""

    def schema(self, columns: Sequence[str]) -> pa.Schema:
        """The types of these columns, as `pieces` gives them."""

    def pieces(self, start: InputPlace, columns: Sequence[str]) -> Iterator[Piece]:
        """The rows from `start` on, with these columns. Raises RunFailedError for a file that breaks off."""


def check_names(name: str, columns: Sequence[str]) -> None:
    """Raise CannotScoreError for two columns of one name: nobody could say which of them is meant."""
    if len(set(columns)) < len(columns):
        twice = next(each for index, each in enumerate(columns) if each in columns[:index])
        raise CannotScoreError(f"{name}: has two columns {quoted(twice)}: give each its own name")


def slices(block: Piece, offset: int, start_row: int, most_rows: int) -> Iterator[Piece]:
    """The rows of a block of text from `start_row` on, in pieces. The block begins at the byte `offset`."""
    rows = block.batch.num_rows
    for begin in range(0, rows, most_rows):
        end = min(begin + most_rows, rows)
        first_row, behind = block.first_row + begin, block.first_row + end
        if behind <= start_row:
            continue
        place = block.end if end == rows else InputPlace(block.end.file, behind, offset, end)
        errors = {row - begin: text for row, text in block.errors.items() if begin <= row < end}
        yield Piece(block.batch.slice(begin, end - begin), first_row, place, errors)
