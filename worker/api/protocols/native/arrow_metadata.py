"""What an Arrow stream declares, read before pyarrow allocates anything for it.

A stream is a row of messages: 4 bytes of FF, the length of the metadata, the metadata, the body. The metadata
are a flatbuffer (Message.fbs in Arrow's format folder). It says how many rows a batch has, where its buffers
lie and whether they are compressed; each compressed buffer begins with its size before compression. pyarrow
checks most of this itself, but only after it has allocated what a message declares.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.problems import bad_input, too_large

CONTINUATION: Final = b"\xff\xff\xff\xff"
_FILE: Final = b"ARROW1"
_PREFIX: Final = struct.Struct("<4si")
_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")
_I32: Final = struct.Struct("<i")
_I64: Final = struct.Struct("<q")
_PAIR: Final = struct.Struct("<qq")

# Fields of the tables, by their position in Message.fbs, and the types of a message.
_HEADER_TYPE, _HEADER, _BODY_LENGTH = 1, 2, 3
_LENGTH, _BUFFERS, _COMPRESSION = 0, 2, 3
_DATA: Final = 1
_DICTIONARY, _RECORDS = 2, 3

_MOST_METADATA: Final = 2**20
_METADATA_PER_COLUMN: Final = 2**10
_NOT_COMPRESSED: Final = -1


@dataclass
class _Declared:
    """What the messages so far have declared."""

    messages: int = 0
    rows: int = 0
    inflated: int = 0
    metadata: int = 0


def check_stream(body: bytes, columns: int, limits: InputLimits) -> int:
    """The rows that a stream declares, in all its batches together; `columns` is how many the model takes.

    Raises ProblemError: 400 for a stream that is cut off or contradicts itself, 413 for one over a limit.
    """
    if body.startswith(_FILE):
        raise _broken(
            "it is an Arrow file (Feather): write the stream format, as pyarrow.ipc.new_stream does"
        )
    declared = _Declared()
    most_metadata = _MOST_METADATA + columns * _METADATA_PER_COLUMN
    position = 0
    try:
        while position < len(body):
            marker, size = _PREFIX.unpack_from(body, position)
            position += _PREFIX.size
            if marker != CONTINUATION or size < 0:
                raise _broken("a message does not begin with FF FF FF FF and a length")
            if size == 0:  # the end of the stream
                break
            declared.metadata += size
            if declared.metadata > most_metadata and declared.metadata > len(body) // 2:
                raise too_large("the Arrow stream has more metadata than data: send more rows in each batch")
            if size > len(body) - position:
                raise _broken("it ends within a message")
            position = _message(
                memoryview(body)[position : position + size], body, position + size, declared, limits
            )
    except struct.error as error:  # an offset that points outside the metadata
        raise _broken("a message's metadata is cut off") from error
    limits.reserve(declared.inflated)
    return declared.rows


def _message(metadata: memoryview, body: bytes, start: int, declared: _Declared, limits: InputLimits) -> int:
    """Adds a message to what is declared; returns where the next one begins."""
    declared.messages += 1
    if declared.messages > limits.arrow_batches:
        raise too_large(
            f"the Arrow stream has more than {limits.arrow_batches} batches: send more rows in each"
        )
    message = _Table(metadata, _U32.unpack_from(metadata, 0)[0])
    length = message.int64(_BODY_LENGTH)
    if not 0 <= length <= len(body) - start:
        raise _broken("it ends within a message's body")
    kind, header = message.uint8(_HEADER_TYPE), message.table(_HEADER)
    if kind == _DICTIONARY and header is not None:
        data = header.table(_DATA)
        if data is not None:
            _batch(data, body, start, length, declared)
    elif kind == _RECORDS and header is not None:
        rows = header.int64(_LENGTH)
        if rows < 0:
            raise _broken("a batch has a negative number of rows")
        declared.rows += rows
        limits.check_rows(declared.rows)
        _batch(header, body, start, length, declared)
    if declared.inflated > limits.tensor_bytes:
        raise too_large(
            f"the Arrow stream becomes more than the {limits.tensor_bytes} bytes allowed: send fewer "
            "rows at once"
        )
    return start + length


def _batch(batch: _Table, body: bytes, start: int, length: int, declared: _Declared) -> None:
    compressed = batch.table(_COMPRESSION) is not None
    for offset, size in batch.pairs(_BUFFERS):
        if offset < 0 or size < 0 or offset + size > length:
            raise _broken("a buffer lies outside its message")
        if not compressed:
            declared.inflated += size
        elif size:
            if size < _I64.size:
                raise _broken("a compressed buffer has no size")
            becomes: int = _I64.unpack_from(body, start + offset)[0]
            if becomes < _NOT_COMPRESSED:
                raise _broken("a compressed buffer has a negative size")
            declared.inflated += size if becomes == _NOT_COMPRESSED else becomes


class _Table:
    """A table of a flatbuffer. An offset outside the buffer raises struct.error."""

    def __init__(self, buffer: memoryview, position: int) -> None:
        self._buffer = buffer
        self._position = position
        self._fields = position - _I32.unpack_from(buffer, position)[0]
        if self._fields < 0:  # unpack_from would count from the end
            raise struct.error
        self._size: int = _U16.unpack_from(buffer, self._fields)[0]

    def uint8(self, field: int) -> int:
        found = self._place(field)
        return 0 if found is None else int(self._buffer[found]) if found < len(self._buffer) else 0

    def int64(self, field: int) -> int:
        found = self._place(field)
        return 0 if found is None else int(_I64.unpack_from(self._buffer, found)[0])

    def table(self, field: int) -> _Table | None:
        found = self._place(field)
        return None if found is None else _Table(self._buffer, self._follow(found))

    def pairs(self, field: int) -> list[tuple[int, int]]:
        """A vector of structs of two int64."""
        found = self._place(field)
        if found is None:
            return []
        vector = self._follow(found)
        count: int = _U32.unpack_from(self._buffer, vector)[0]
        begin = vector + _U32.size
        if count * _PAIR.size > len(self._buffer) - begin:
            raise struct.error
        return list(_PAIR.iter_unpack(self._buffer[begin : begin + count * _PAIR.size]))

    def _follow(self, place: int) -> int:
        return place + int(_U32.unpack_from(self._buffer, place)[0])

    def _place(self, field: int) -> int | None:
        entry = _U16.size * (2 + field)  # after the sizes of the two tables
        if entry + _U16.size > self._size:
            return None
        offset: int = _U16.unpack_from(self._buffer, self._fields + entry)[0]
        return self._position + offset if offset else None


def _broken(reason: str) -> ProblemError:
    return bad_input(f"the body is not a valid Arrow stream: {reason}")
