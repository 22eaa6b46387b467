"""The top-level fields of a protocol buffer in a file, without reading what is in them.

Protocol buffers have no magic number. Which fields a file has, and of what type, tells a GraphDef from a
SavedModel or an ONNX model; where they end tells whether the file is whole. Only the heads of the fields are
read, so this takes milliseconds for a file of gigabytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT: Final = 0
LENGTH_DELIMITED: Final = 2
_FIXED_SIZES: Final = {1: 8, 5: 4}  # a fixed64 and a fixed32
_LONGEST_VARINT: Final = 10
_MORE: Final = 0x80  # the bit of a varint's byte that says that more bytes follow
_HIGHEST_FIELD: Final = (1 << 29) - 1
# Each node of a graph is a field of its own, and the largest graphs have some 100,000. What comes after
# this many is not looked at.
_MAX_FIELDS: Final = 250_000


@dataclass(frozen=True, slots=True)
class WireField:
    """`start` is where its content begins, and `size` how long that is in bytes, also where the file ends
    before.
    """

    number: int
    kind: int
    start: int
    size: int


class NotProtobufError(Exception):
    """These bytes are no protocol buffer."""


def read_fields(file: BinaryIO, size: int) -> Iterator[WireField]:
    """The fields of the file's first `size` bytes, in their order.

    The last one may reach beyond `size`: then the file is cut off. Raises NotProtobufError.
    """
    position = 0
    for _ in range(_MAX_FIELDS):
        if position >= size:
            return
        field = _read_field(file, position)
        yield field
        position = field.start + field.size


def read_text(file: BinaryIO, field: WireField, limit: int) -> bytes:
    """The content of a short field, at most `limit` bytes of it."""
    file.seek(field.start)
    return file.read(min(field.size, limit))


def _read_field(file: BinaryIO, position: int) -> WireField:
    file.seek(position)
    head = file.read(2 * _LONGEST_VARINT)
    key, key_size = parse_varint(head)
    number, kind = key >> 3, key & 7
    if not 1 <= number <= _HIGHEST_FIELD:
        raise NotProtobufError
    start = position + key_size
    if kind == VARINT:
        return WireField(number, kind, start, parse_varint(head[key_size:])[1])
    if kind == LENGTH_DELIMITED:
        length, length_size = parse_varint(head[key_size:])
        return WireField(number, kind, start + length_size, length)
    if kind in _FIXED_SIZES:
        return WireField(number, kind, start, _FIXED_SIZES[kind])
    raise NotProtobufError


def parse_varint(data: bytes) -> tuple[int, int]:
    """The number at the beginning of `data`, and the bytes that it takes. Raises NotProtobufError."""
    value = 0
    for index, byte in enumerate(data[:_LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if not byte & _MORE:
            return value, index + 1
    raise NotProtobufError
