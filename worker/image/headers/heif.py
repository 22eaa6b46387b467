"""Read the headers of HEIC and AVIF (ISO/IEC 23008-12): the largest size that their properties state.

Their libraries read everything else, in a decoder process.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tfleet.worker.image.headers.header import DecodeWork, Header, HeaderError, Segments

_SIZE: Final = b"ispe"
_VERSION: Final = 4  # bytes of version and flags before the content of a full box


@dataclass(frozen=True, slots=True)
class _Box:
    """The kind of a box, and the positions where its content begins and ends."""

    kind: bytes
    start: int
    end: int


def read(data: bytes, format_name: str) -> Header:
    """Read the header of a HEIC or AVIF. Raises HeaderError."""
    segments = Segments()
    meta = next((box for box in _boxes(data, _Box(b"", 0, len(data)), segments) if box.kind == b"meta"), None)
    if meta is None:
        raise HeaderError("it states no size")
    sizes = [
        struct.unpack_from(">II", data, size.start + _VERSION)
        for properties in _boxes(data, _Box(b"meta", meta.start + _VERSION, meta.end), segments)
        if properties.kind == b"iprp"
        for container in _boxes(data, properties, segments)
        if container.kind == b"ipco"
        for size in _boxes(data, container, segments)
        if size.kind == _SIZE and size.end - size.start >= _VERSION + 8
    ]
    if not sizes:
        raise HeaderError("it states no size")
    # The largest: only the library finds out which of the items it decodes.
    width, height = max(sizes, key=lambda size: int(size[0]) * int(size[1]))
    if not width or not height:
        raise HeaderError("it has no pixels")
    return Header(format_name, width, height, data, work=DecodeWork(4))


def _boxes(data: bytes, within: _Box, segments: Segments) -> Iterator[_Box]:
    """The boxes directly inside another box. Raises HeaderError."""
    start = within.start
    while start + 8 <= within.end:
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1 and start + 16 <= within.end:  # a 64-bit size follows
            (size,), body = struct.unpack_from(">Q", data, start + 8), start + 16
        end = within.end if size == 0 else start + size  # 0: the box extends to the end
        if end < body or end > within.end:
            raise HeaderError("a box of it is broken or cut off")
        segments.add(0)
        yield _Box(kind, body, end)
        start = end
