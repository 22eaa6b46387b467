"""Which rows are scored: those that a filter lets pass, a sample, and only the first so many. No I/O.

Whether a row is in a sample depends on its number and on the seed alone, so it is the same in each run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from tfleet.bulk.filter import RowFilter
    from tfleet.bulk.sources.source import Piece

# The constants of splitmix64 (Steele, Lea and Flood, 2014), which spreads numbers that follow each other.
_GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_SHIFTS: Final = (np.uint64(30), np.uint64(27), np.uint64(31))
_ALL: Final = 2.0**64


@dataclass(frozen=True, slots=True)
class Selection:
    """`sample` is the share of rows to take, from 0 to 1; None for all. `limit` is the most rows."""

    filter: RowFilter | None = None
    sample: float | None = None
    seed: int = 0
    limit: int | None = None

    def pieces(self, pieces: Iterable[Piece], taken: int = 0) -> Iterator[Piece]:
        """The pieces with the rows that are wanted. `taken` is how many rows earlier parts have.

        No piece is read behind the limit. A piece without rows stays, as its end is a place.
        """
        left = None if self.limit is None else self.limit - taken
        if left is not None and left <= 0:
            return
        for piece in pieces:
            chosen = self._chosen(piece)
            if left is not None:
                chosen = chosen[:left]
                left -= len(chosen)
            yield _only(piece, chosen)
            if left == 0:
                return

    def _chosen(self, piece: Piece) -> npt.NDArray[np.int64]:
        rows = piece.batch.num_rows
        wanted = np.ones(rows, np.bool_)
        if self.sample is not None:
            wanted &= in_sample(piece.end.file, piece.first_row, rows, self.sample, self.seed)
        if self.filter is not None:
            passed = self.filter.mask(piece.batch)
            passed[list(piece.errors)] = True  # nobody knows what it has, so it is not left out in silence
            wanted &= passed
        return np.flatnonzero(wanted)


def in_sample(file: int, first_row: int, rows: int, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which of these rows of a file are in the sample."""
    with np.errstate(over="ignore"):
        start = _mixed(np.array([seed], np.uint64) * _GAMMA + np.uint64(file))
        numbers = np.arange(first_row, first_row + rows, dtype=np.uint64)
        mixed = _mixed(start + (numbers + np.uint64(1)) * _GAMMA)
    return mixed.astype(np.float64) < share * _ALL


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    first, second, third = _SHIFTS
    values = (values ^ (values >> first)) * _MIX_1
    values = (values ^ (values >> second)) * _MIX_2
    return values ^ (values >> third)


def _only(piece: Piece, chosen: npt.NDArray[np.int64]) -> Piece:
    if len(chosen) == piece.batch.num_rows:
        return piece
    errors = {}
    if piece.errors:
        errors = {new: piece.errors[old] for new, old in enumerate(chosen.tolist()) if old in piece.errors}
    return replace(piece, batch=piece.batch.take(pa.array(chosen)), errors=errors)
