"""Which rows make a part of the output. No I/O but that of the pieces.

A part ends at the end of the first piece with which it has its rows or its bytes. So it depends on the input
and on the settings, and not on where an earlier run was killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from tfleet.bulk.batches import row_sizes
from tfleet.bulk.sources.source import InputPlace, Piece


@dataclass(frozen=True, slots=True)
class PartLimits:
    """When a part is full. `row_bytes` are what each row takes besides its own bytes, for its predictions."""

    rows: int
    bytes: int
    row_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """The rows from `start` to `end`. `unread` says of some, by their index, why they could not be read."""

    index: int
    start: InputPlace
    end: InputPlace
    batch: pa.RecordBatch = field(repr=False)
    unread: Mapping[int, str] = field(default_factory=dict, repr=False)


def parts(pieces: Iterable[Piece], start: InputPlace, limits: PartLimits, first: int = 0) -> Iterator[Part]:
    """The parts of the pieces from `start` on, the first one with the number `first`."""
    index, held, held_bytes = first, list[Piece](), 0
    for piece in pieces:
        held.append(piece)
        held_bytes += int(row_sizes(piece.batch, limits.row_bytes).sum())
        if held_bytes >= limits.bytes or sum(each.batch.num_rows for each in held) >= limits.rows:
            yield _joined(index, start, held)
            index, start, held, held_bytes = index + 1, piece.end, [], 0
    if held:
        yield _joined(index, start, held)


def _joined(index: int, start: InputPlace, pieces: list[Piece]) -> Part:
    unread: dict[int, str] = {}
    before = 0
    for piece in pieces:
        unread.update((before + row, text) for row, text in piece.errors.items())
        before += piece.batch.num_rows
    batch = pieces[0].batch if len(pieces) == 1 else pa.concat_batches([each.batch for each in pieces])
    return Part(index, start, pieces[-1].end, batch, unread)
