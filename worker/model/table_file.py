"""Reads LevelDB's tables, the format of the index of TensorFlow's checkpoints.

A table is blocks of keys and values, and a block that says where these are. A block may be compressed with
Snappy: TensorFlow 1 did that. Checksums are not looked at.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from tfleet.worker.model.protobuf_fields import NotProtobufError, parse_varint

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
"""The last bytes of a table."""

_FOOTER_BYTES: Final = 48  # two handles of blocks, filled up, and the magic number
_PLAIN, _SNAPPY = b"\x00", b"\x01"
# TensorFlow's blocks have 256 KiB, or one entry that is larger.
_MAX_BLOCK_BYTES: Final = 1 << 26


class DamagedTableError(Exception):
    """These bytes are no table, or it is cut off."""


def read_entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The table's keys and values, in order. Raises DamagedTableError."""
    if len(data) < _FOOTER_BYTES or not data.endswith(MAGIC):
        raise DamagedTableError
    try:
        _, after = _handle(data[-_FOOTER_BYTES:], 0)  # of the block about the table, which is empty
        index, _ = _handle(data[-_FOOTER_BYTES:], after)
        for _, value in _entries(_block(data, *index)):
            block, _ = _handle(value, 0)
            yield from _entries(_block(data, *block))
    except (NotProtobufError, struct.error, IndexError) as error:
        raise DamagedTableError from error


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    """A block's offset and size, and the position after them."""
    offset, position = _number(data, position)
    size, position = _number(data, position)
    return (offset, size), position


def _block(data: bytes, offset: int, size: int) -> bytes:
    """A block's content. Behind it, one byte says how it is compressed."""
    block, compression = data[offset : offset + size], data[offset + size : offset + size + 1]
    if len(block) != size or compression not in {_PLAIN, _SNAPPY}:
        raise DamagedTableError
    return _inflated(block) if compression == _SNAPPY else block


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of one block. A key repeats the beginning of the key before it.

    At the block's end are the places where keys are complete, and their number, which reading in order does
    not need.
    """
    (restarts,) = struct.unpack("<I", block[-4:])
    end, position, key = len(block) - 4 * (restarts + 1), 0, b""
    while position < end:
        shared, position = _number(block, position)
        own, position = _number(block, position)
        length, position = _number(block, position)
        key = key[:shared] + block[position : position + own]
        position += own
        yield key, block[position : position + length]
        position += length


def _inflated(data: bytes) -> bytes:
    """Undo Snappy (its format_description.txt): bytes as they are, and copies of what came before."""
    size, position = _number(data, 0)
    if size > _MAX_BLOCK_BYTES:
        raise DamagedTableError
    out = bytearray()
    while position < len(data) and len(out) <= size:
        tag = data[position]
        position += 1
        kind, length = tag & 3, (tag >> 2) + 1
        if kind == 0:  # the bytes themselves; a length over 60 is in the next 1 to 4 bytes
            extra = max(0, length - 60)
            if extra:
                length = int.from_bytes(data[position : position + extra], "little") + 1
                position += extra
            out += data[position : position + length]
            position += length
            continue
        if kind == 1:  # a copy whose offset has 11 bits, three of them in the tag
            length, offset = ((tag >> 2) & 7) + 4, (tag >> 5) << 8 | data[position]
            position += 1
        else:  # a copy whose offset is in two or four bytes
            width = 2 if kind == 2 else 4  # noqa: PLR2004 - the two low bits of the tag
            offset = int.from_bytes(data[position : position + width], "little")
            position += width
        if not 0 < offset <= len(out):
            raise DamagedTableError
        for _ in range(length):  # one by one: a copy may reach into itself
            out.append(out[-offset])
    if len(out) != size:
        raise DamagedTableError
    return bytes(out)


def _number(data: bytes, position: int) -> tuple[int, int]:
    """A varint, and the position after it."""
    value, size = parse_varint(data[position : position + 10])
    return value, position + size
