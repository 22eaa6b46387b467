"""Read a GIF's header (GIF89a): the logical screen and the first frame, which may be larger than the
screen.
"""

from __future__ import annotations

import struct
from typing import Final

from tfleet.worker.image.headers.header import DecodeWork, Header, HeaderError, LimitExceededError, Segments

_FRAME: Final = 0x2C
_EXTENSION: Final = 0x21
_CONTROL: Final = 0xF9
_SCREEN: Final = 13
_MAX_BLOCKS: Final = 65_536  # XMP is read as blocks of some 90 bytes each


def read(data: bytes) -> Header:
    """Read the header of a GIF; its size is that of a canvas for screen and first frame. Raises
    HeaderError.
    """
    segments, control = Segments(), b""
    if len(data) < _SCREEN:
        raise HeaderError("its header is cut off")
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = start = _SCREEN + _table_bytes(flags)
    while (kind := _octet(data, position)) != _FRAME:
        if kind != _EXTENSION:
            raise HeaderError("it has no picture")
        end = _after_blocks(data, position + 2, segments)
        if _octet(data, position + 1) == _CONTROL:
            control = data[position:end]
        position = end
    if position + 10 > len(data):
        raise HeaderError("its first frame is cut off")
    left, top, columns, rows = struct.unpack_from("<HHHH", data, position + 1)
    if not columns or not rows:
        raise HeaderError("its first frame has no pixels")
    # Comments and application data are dropped; the control block says which colour is transparent and stays.
    skipped = position - start != len(control)
    picture = b"".join((data[:start], control, memoryview(data)[position:])) if skipped else data
    return Header("GIF", max(width, left + columns), max(height, top + rows), picture, work=DecodeWork(1))


def _after_blocks(data: bytes, position: int, segments: Segments) -> int:
    """The position after the blocks that begin at `position`: each has a length and bytes, the last is
    empty.
    """
    start, blocks = position, 0
    while length := _octet(data, position):
        blocks += 1
        if blocks > _MAX_BLOCKS:
            raise LimitExceededError(f"more than {_MAX_BLOCKS} blocks in an extension before the picture")
        position += 1 + length
    segments.add(position - start)
    return position + 1


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _octet(data: bytes, position: int) -> int:
    if position >= len(data):
        raise HeaderError("it ends before a picture begins")
    return data[position]
