"""Reads bodies: removes their framing and finds their end. What follows belongs to the next message."""

from __future__ import annotations

import re
import sys
from enum import Enum, auto
from typing import Final, Protocol

from tfleet.httpd.http1.fields import FIELD_LINE, TEXT, UnreadableError

_MAX_LINE_BYTES: Final = 8 * 1024
_MAX_TRAILER_BYTES: Final = 4 * 1024
MAX_CHUNKS_AT_ONCE: Final = 4096
"""Of one byte, they take about 2 ms. Then the other connections have their turn."""
_LINE_END: Final = b"\r\n"
_SIZE_LINE: Final = re.compile(rb"([0-9a-fA-F]{1,15})[\t ]*(?:;" + TEXT + rb")?\r\n")
_TRAILER: Final = re.compile(FIELD_LINE)


class BodyTooLargeError(Exception):
    """A chunk's size says that the body will be over the limit."""


class Body(Protocol):
    """Reads a body as it comes."""

    ended: bool

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """Take the next bytes; gives the part of the body in them, and how many bytes belong to the body.

        To be called only until the body has `ended`. Raises UnreadableError and BodyTooLargeError.
        """


def body_of(chunked: bool, length_bytes: int | None) -> Body:
    """A reader for the body of a message; without chunks and length the body ends with its connection."""
    if chunked:
        return Chunks(MAX_CHUNKS_AT_ONCE)
    return ToTheEnd() if length_bytes is None else Length(length_bytes)


class Length:
    """A body of so many bytes."""

    __slots__ = ("_left_bytes", "ended")

    def __init__(self, length_bytes: int) -> None:
        self.ended = length_bytes == 0
        self._left_bytes = length_bytes

    def feed(self, data: bytes) -> tuple[bytes, int]:
        piece = data[: self._left_bytes]  # no copy where it is all of it
        self._left_bytes -= len(piece)
        self.ended = self._left_bytes == 0
        return piece, len(piece)


class ToTheEnd:
    """A body that ends with its connection."""

    ended = False

    def feed(self, data: bytes) -> tuple[bytes, int]:
        return data, len(data)


class _Awaited(Enum):
    SIZE = auto()
    END_OF_CHUNK = auto()
    TRAILER = auto()


# Python 3.11 looks a member up with a call, which each chunk would pay for.
_SIZE, _END_OF_CHUNK, _TRAILERS = _Awaited


class Chunks:
    """A body in chunks, RFC 9112 section 7.1, with the trailers behind it.

    `feed` reads at most `at_once` chunks and may leave more in `data`: call it again with the rest. It
    refuses a chunk whose size says that the body will be over `max_bytes`, before the chunk comes. What has
    come is for the caller to count.
    """

    def __init__(self, at_once: int = sys.maxsize, max_bytes: int = sys.maxsize) -> None:
        self._at_once = at_once
        self._room_bytes = max_bytes
        """How much may come after what `feed` has returned."""
        self.ended = False
        self._awaited = _SIZE
        self._line = b""
        self._left_bytes = 0
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> tuple[bytes, int]:
        pieces: list[bytes] = []
        at = 0
        while at < len(data) and not self.ended and len(pieces) < self._at_once:
            if self._awaited is _SIZE and not self._line:
                at = _whole_chunks(data, at, pieces, self._at_once)
                if at == len(data):
                    break
            if self._left_bytes:
                piece = data[at : at + self._left_bytes]
                self._left_bytes -= len(piece)
                at += len(piece)
                pieces.append(piece)
            else:
                end = data.find(b"\n", at) + 1 or len(data)
                self._line += data[at:end]
                at = end
                self._read_line(self._line)
                # A chunk that is all there was not announced here: the caller sees how large it is.
                if self._left_bytes and self._left_bytes > self._room_bytes - sum(map(len, pieces)):
                    raise BodyTooLargeError
        content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._room_bytes -= len(content)
        return content, at

    def _read_line(self, line: bytes) -> None:
        if self._awaited is _END_OF_CHUNK and not _LINE_END.startswith(line):
            raise UnreadableError("a chunk is longer than its size")
        if len(line) > _MAX_LINE_BYTES:
            raise UnreadableError("a chunk-size line is too long")
        if not line.endswith(b"\n"):
            return
        self._line = b""
        if self._awaited is _SIZE:
            self._read_size(line)
        elif self._awaited is _END_OF_CHUNK:
            self._awaited = _SIZE
        elif line == _LINE_END:
            self.ended = True
        else:
            self._read_trailer(line)

    def _read_size(self, line: bytes) -> None:
        size = _SIZE_LINE.fullmatch(line)
        if size is None:
            raise UnreadableError("invalid chunk size")
        self._left_bytes = int(size[1], 16)
        self._awaited = _END_OF_CHUNK if self._left_bytes else _TRAILERS

    def _read_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if not _TRAILER.fullmatch(line) or self._trailer_bytes > _MAX_TRAILER_BYTES:
            raise UnreadableError("invalid or oversized trailers")


def _whole_chunks(data: bytes, at: int, pieces: list[bytes], at_once: int) -> int:
    """Read the chunks that are whole from `at` on, and give where the next one begins.

    Several times as fast as line by line, which a client could make a server pay with chunks of one byte.
    Whatever is not plain is left to the careful way: a part of a chunk, the last one, and what is refused.
    """
    while len(pieces) < at_once and (size := _SIZE_LINE.match(data, at)) is not None:
        begin = size.end()
        end = begin + int(size[1], 16)
        if end == begin or data[end : end + 2] != _LINE_END or begin - at > _MAX_LINE_BYTES:
            return at
        pieces.append(data[begin:end])
        at = end + 2
    return at
