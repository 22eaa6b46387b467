"""A text file in blocks of whole records.

A block is what lies between its begin and `block_bytes` behind it, cut at the last end of a record: so the
next block begins at the same byte in each run. Only a record that is longer makes a block longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tfleet.bulk.errors import BrokenInputError

BLOCK_BYTES: Final = 1024 * 1024
MAX_RECORD_BYTES: Final = 64 * 1024 * 1024
_SKIP_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Whole records, and the offset of the byte behind them."""

    content: bytes
    end: int


def read_blocks(
    stream: Any, name: str, start: int, *, quote: bytes | None = None, block_bytes: int = BLOCK_BYTES
) -> Iterator[TextBlock]:
    """The blocks from `start` on. With `quote` a line end between two of them ends no record.

    `stream` is at its begin. Raises BrokenInputError for a record of more than MAX_RECORD_BYTES, and for a
    file that ends between two quotes: the rest of it would be one value.
    """
    _skip(stream, start)
    rest = b""
    wanted = block_bytes
    while True:
        content = rest + _read(stream, wanted - len(rest))
        at_end = len(content) < wanted
        end = len(content) if at_end else record_end(content, quote)
        if at_end and quote is not None and content.count(quote) % 2:
            raise BrokenInputError(
                f"{name}: a quoted value after byte {start} has no end: a quote is missing, or one too many"
            )
        if end:
            start += end
            yield TextBlock(content[:end], start)
            rest, wanted = content[end:], block_bytes
        else:
            rest, wanted = content, 2 * wanted
        if at_end:
            return
        if len(rest) >= MAX_RECORD_BYTES:
            raise BrokenInputError(
                f"{name}: a row after byte {start} has more than {MAX_RECORD_BYTES} bytes: a quote may be "
                "missing"
            )


def record_end(content: bytes, quote: bytes | None) -> int:
    """How many bytes of the content are whole records. 0 if there is none.

    A line end belongs to a value if an odd number of quotes stands before it: a quote within a value is
    written as two.
    """
    end = len(content)
    quotes = content.count(quote) if quote is not None else 0
    while True:
        newline = content.rfind(b"\n", 0, end)
        if newline < 0:
            return 0
        if quote is not None:
            quotes -= content.count(quote, newline, end)
        if quotes % 2 == 0:
            return newline + 1
        end = newline


def first_record(content: bytes, quote: bytes) -> int:
    """The length of the first record, with its line end; that of the content if it is not complete."""
    end = 0
    while (newline := content.find(b"\n", end)) >= 0:
        end = newline + 1
        if content.count(quote, 0, end) % 2 == 0:
            return end
    return len(content)


def _read(stream: Any, size: int) -> bytes:
    """So many bytes, fewer only at the end of the file. A decompressing stream may return fewer before."""
    pieces = []
    while size > 0 and (piece := stream.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _skip(stream: Any, size: int) -> None:
    if stream.seekable():
        stream.seek(size)
        return
    while size > 0 and (piece := stream.read(min(size, _SKIP_BYTES))):
        size -= len(piece)
