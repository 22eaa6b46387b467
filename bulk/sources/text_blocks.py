"""A text file in blocks of whole records.

A block is what lies between its begin and `block_bytes` behind it, cut at the last end of a record: so the
next block begins at the same byte in each run. Only a record that is longer makes a block longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tfleet.bulk.errors import BrokenInputError
from tfleet.bulk.sources.csv_quotes import QuoteScan

BLOCK_BYTES: Final = 1024 * 1024
_SKIP_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Whole records, and the offset of the byte behind them."""

    content: bytes
    end: int


def read_blocks(
    stream: Any,
    name: str,
    start: int,
    *,
    most_bytes: int,
    delimiter: str | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[TextBlock]:
    """The blocks from `start` on. With a delimiter it is CSV, where a quoted value may have line ends.

    `stream` is at its begin. Raises BrokenInputError for a record of more than `most_bytes`, and for a
    file that ends within a quoted value: nobody can say where the value was to end.
    """
    _skip(stream, start)
    rest, at_end = b"", False
    while not at_end:
        quotes = None if delimiter is None else QuoteScan(delimiter)
        pieces: list[bytes] = []
        size = end = 0
        while not end and not at_end:
            if size >= most_bytes:
                missing = "" if quotes is None else "a quote may be missing, or "
                raise BrokenInputError(
                    f"{name}: a row after byte {start} has more than {most_bytes} bytes: {missing}--memory "
                    "is too small for it"
                )
            piece = rest + read_up_to(stream, block_bytes - len(rest))
            rest, at_end = b"", len(piece) < block_bytes
            found = piece.rfind(b"\n") + 1 if quotes is None else quotes.last_end(piece)
            end = size + found if found else 0
            pieces.append(piece)
            size += len(piece)
        if at_end and quotes is not None and quotes.inside:
            raise BrokenInputError(
                f"{name}: a quoted value after byte {start} has no end: a quote is missing, or one too many"
            )
        content = b"".join(pieces)
        end = len(content) if at_end else end
        if end:
            start += end
            yield TextBlock(content[:end], start)
            rest = content[end:]


def first_record(content: bytes, delimiter: str) -> int:
    """The length of the first record, with its line end; that of the content if it is not complete."""
    return QuoteScan(delimiter).first_end(content) or len(content)


def read_up_to(stream: Any, size: int) -> bytes:
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
