"""Where the records of CSV end, by the rule that pyarrow and Python's csv have for quotes.

A quote opens a value only at the begin of a cell. Within it two quotes are one, and a single one closes it.
Any other quote, as in `5" pipe`, is a character like others. A line end between the quotes of a value ends no
record.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

_Flags: TypeAlias = npt.NDArray[np.bool_]

_QUOTE: Final = ord('"')
_LINE_END: Final = b"\n"
_WINDOW_BYTES: Final = 64 * 1024  # what is looked at in one step stays in the cache of the CPU


class QuoteScan:
    """Reads CSV from the begin of a record on, piece by piece, and knows whether a quoted value is open."""

    def __init__(self, delimiter: str) -> None:
        self.inside = False
        self._before = ord("\n")  # the byte before the next piece; 0 for a quote that is only a character
        self._delimiter = ord(delimiter)

    def __repr__(self) -> str:
        return f"<QuoteScan inside={self.inside}>"

    def first_end(self, piece: bytes) -> int:
        """How many bytes of the next piece its first record has, with its line end; 0 if it does not end."""
        return self._end(piece, last=False)

    def last_end(self, piece: bytes) -> int:
        """How many bytes of the next piece the records have that end in it; 0 if none does."""
        return self._end(piece, last=True)

    def _end(self, piece: bytes, *, last: bool) -> int:
        found = 0
        for begin in range(0, len(piece), _WINDOW_BYTES):
            window = piece[begin : begin + _WINDOW_BYTES]
            inside, marks = self.inside, self._marks(window)
            end = (_last if last else _first)(window, marks, inside)
            self.inside = inside ^ bool(len(marks) % 2)
            if end:
                found = begin + end
                if not last:
                    break
        return found

    def _marks(self, piece: bytes) -> npt.NDArray[np.int64]:
        """Where the piece has quotes that open or close a value. Two within a value close it and open it."""
        if piece.find(b'"') < 0:
            self._before = piece[-1]
            return np.empty(0, np.int64)
        content = np.frombuffer(bytes([self._before]) + piece, np.uint8)
        is_quote = content == _QUOTE
        begins = (content == self._delimiter) | (content == ord("\n")) | (content == ord("\r"))
        quotes = np.flatnonzero(is_quote[1:])  # the byte before each one has the same index in `content`
        if (begins | is_quote)[quotes[int(self.inside) :: 2]].all():
            marks = quotes  # each second one opens a value, as in most files
        else:
            marks = quotes[_are_marks(begins[quotes], is_quote[quotes], self.inside)]
        stray = piece[-1] == _QUOTE and not (len(marks) and marks[-1] == len(piece) - 1)
        self._before = 0 if stray else piece[-1]
        return marks


def _are_marks(begins: _Flags, follows: _Flags, inside: bool) -> _Flags:
    """Which quotes open or close a value. Each one begins a cell, follows another quote, or is neither.

    Behind a quote that is neither, no value is open: it has closed one, or is only a character. So between
    two of them the others open and close in turn.
    """
    marks: _Flags = begins | follows
    neither = np.flatnonzero(~marks)
    turns = np.diff(np.cumsum(marks)[neither] + inside, prepend=0)
    marks[neither] = turns % 2 == 1
    characters = neither[turns % 2 == 0]
    if not follows[characters[characters < len(marks) - 1] + 1].any():
        return marks
    # A quote that follows one that is only a character is one, too, which says nothing of those behind it.
    for index, (begins_cell, follows_one) in enumerate(zip(begins.tolist(), follows.tolist(), strict=True)):
        marks[index] = mark = (
            inside or begins_cell or (follows_one and (index == 0 or bool(marks[index - 1])))
        )
        inside ^= mark
    return marks


def _last(piece: bytes, marks: npt.NDArray[np.int64], inside: bool) -> int:
    end = len(piece)
    while (newline := piece.rfind(_LINE_END, 0, end)) >= 0:
        before = int(np.searchsorted(marks, newline)) if len(marks) else 0
        if (before + inside) % 2 == 0:
            return newline + 1
        if before == 0:
            return 0
        end = int(marks[before - 1])
    return 0


def _first(piece: bytes, marks: npt.NDArray[np.int64], inside: bool) -> int:
    begin = 0
    while (newline := piece.find(_LINE_END, begin)) >= 0:
        before = int(np.searchsorted(marks, newline))
        if (before + inside) % 2 == 0:
            return newline + 1
        if before == len(marks):
            return 0
        begin = int(marks[before])
    return 0
