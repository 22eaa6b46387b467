"""Where an answer's body ends: what comes after that is no part of it, nor of any other answer."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final, Protocol

from tfleet.proxy.answer_head import HEADER_LINE, TEXT, AnswerHead, UnreadableError

_MOST_LINE_BYTES: Final = 8 * 1024
_MOST_TRAILER_BYTES: Final = 16 * 1024
_LINE_END: Final = b"\r\n"
_SIZE_LINE: Final = re.compile(rb"([0-9a-fA-F]{1,15})[\t ]*(?:;" + TEXT + rb")?\r\n")
_TRAILER: Final = re.compile(HEADER_LINE)


class Body(Protocol):
    """Looks at a body as it comes."""

    ended: bool

    def feed(self, data: bytes) -> int:
        """How many of these bytes, the next ones, belong to the body. Raises UnreadableError."""


def body_of(head: AnswerHead) -> Body:
    """The body that the head announces."""
    if head.chunked:
        return Chunks()
    return ToTheEnd() if head.length_bytes is None else Length(head.length_bytes)


class Length:
    """A body of so many bytes."""

    def __init__(self, length_bytes: int) -> None:
        self.ended = length_bytes == 0
        self._left_bytes = length_bytes

    def feed(self, data: bytes) -> int:
        taken = min(len(data), self._left_bytes)
        self._left_bytes -= taken
        self.ended = self._left_bytes == 0
        return taken


class ToTheEnd:
    """A body that ends with its connection."""

    ended = False

    def feed(self, data: bytes) -> int:
        return len(data)


class _Awaited(Enum):
    SIZE = auto()
    END_OF_CHUNK = auto()
    TRAILER = auto()


class Chunks:
    """A body in chunks, RFC 9112 section 7.1, with the trailers behind it."""

    def __init__(self) -> None:
        self.ended = False
        self._awaited = _Awaited.SIZE
        self._line = b""
        self._left_bytes = 0
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> int:
        at = 0
        while at < len(data) and not self.ended:
            if self._left_bytes:
                taken = min(self._left_bytes, len(data) - at)
                self._left_bytes -= taken
                at += taken
            else:
                end = data.find(b"\n", at) + 1 or len(data)
                self._line += data[at:end]
                at = end
                self._read_line(self._line)
        return at

    def _read_line(self, line: bytes) -> None:
        if self._awaited is _Awaited.END_OF_CHUNK and not _LINE_END.startswith(line):
            raise UnreadableError("a chunk is longer than it says")
        if len(line) > _MOST_LINE_BYTES:
            raise UnreadableError("a line between its chunks is too long")
        if not line.endswith(b"\n"):
            return
        self._line = b""
        if self._awaited is _Awaited.SIZE:
            self._read_size(line)
        elif self._awaited is _Awaited.END_OF_CHUNK:
            self._awaited = _Awaited.SIZE
        elif line == _LINE_END:
            self.ended = True
        else:
            self._read_trailer(line)

    def _read_size(self, line: bytes) -> None:
        size = _SIZE_LINE.fullmatch(line)
        if size is None:
            raise UnreadableError("a chunk has no proper size")
        self._left_bytes = int(size[1], 16)
        self._awaited = _Awaited.END_OF_CHUNK if self._left_bytes else _Awaited.TRAILER

    def _read_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if not _TRAILER.fullmatch(line) or self._trailer_bytes > _MOST_TRAILER_BYTES:
            raise UnreadableError("there is a broken trailer, or too much of them")
