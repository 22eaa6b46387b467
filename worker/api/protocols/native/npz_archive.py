"""The members of a zip file, as `numpy.savez` and `numpy.savez_compressed` write it.

Python's `zipfile` reads the whole directory, of any length, before one can look at it. This reads as many
entries as the model has inputs, and inflates no more than each one declares. Members that are not compressed
are views of the body. Format: APPNOTE.TXT of PKWARE, sections 4.3 and 4.4.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.problems import bad_input, quoted, too_large

MAGIC: Final = b"PK\x03\x04"
_END: Final = struct.Struct("<4s4H2IH")
_END_MAGIC: Final = b"PK\x05\x06"
_ENTRY: Final = struct.Struct("<4s6H3I5H2I")
_ENTRY_MAGIC: Final = b"PK\x01\x02"
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED: Final = 1
_UTF8: Final = 1 << 11
_ZIP64: Final = 0xFFFFFFFF


def read_members(body: bytes, expected: int, limits: InputLimits) -> list[tuple[str, memoryview]]:
    """Names and contents, at most one more than `expected`, so that the caller can name what is too many.

    Raises ProblemError: 400 for a file that is damaged or has more than that, 413 for contents over a limit.
    """
    try:
        return _members(body, expected, limits)
    except struct.error as error:
        raise _broken("it is cut off") from error
    except zlib.error as error:
        raise _broken("compressed data are damaged") from error


def _members(body: bytes, expected: int, limits: InputLimits) -> list[tuple[str, memoryview]]:
    if len(body) < _END.size:
        raise _broken("it is cut off")
    magic, _, _, _, entries, size, offset, comment = _END.unpack_from(body, len(body) - _END.size)
    if magic != _END_MAGIC or comment:
        raise _broken("its directory is missing: write it with numpy.savez")
    if offset + size > len(body):
        raise _broken("its directory lies outside it")
    if entries > expected + 1:
        raise bad_input(
            f"the .npz file has {entries} arrays, and the model has {expected} inputs: send one for each"
        )
    found: list[tuple[str, memoryview]] = []
    inflated = 0
    for _ in range(entries):
        fields = _ENTRY.unpack_from(body, offset)
        packed, plain, name_length, extra, remark = fields[8:13]
        begin = offset + _ENTRY.size
        name = _name(body[begin : begin + name_length], fields[3])
        offset = begin + name_length + extra + remark
        inflated += plain
        if fields[0] != _ENTRY_MAGIC or _ZIP64 in (packed, plain, fields[16]):
            raise _broken("its directory is damaged")
        if inflated > limits.tensor_bytes:
            raise too_large(
                f"the .npz file becomes more than the {limits.tensor_bytes} bytes allowed: send fewer rows"
            )
        if fields[3] & _ENCRYPTED:
            raise _broken("it is encrypted")
        data = _data(body, fields[16], packed)
        content = _inflated(data, fields[4], plain, name, limits)
        if zlib.crc32(content) != fields[7]:
            raise _broken(f"the checksum of {quoted(name)} does not match")
        found.append((name, content))
    return found


def _data(body: bytes, offset: int, packed: int) -> memoryview:
    local = _LOCAL.unpack_from(body, offset)
    begin = offset + _LOCAL.size + local[9] + local[10]
    if local[0] != MAGIC or begin + packed > len(body):
        raise _broken("a member lies outside it")
    return memoryview(body)[begin : begin + packed]


def _inflated(data: memoryview, method: int, size: int, name: str, limits: InputLimits) -> memoryview:
    if method == _STORED and len(data) == size:
        return data
    if method != _DEFLATED:
        raise _broken(f"{quoted(name)} is compressed in a way that is not read: use numpy.savez_compressed")
    limits.reserve(size)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(data, size + 1)
    if len(content) != size or not inflater.eof:
        raise _broken(f"{quoted(name)} does not have the size that is declared")
    return memoryview(content)


def _name(raw: bytes, flags: int) -> str:
    return raw.decode("utf-8" if flags & _UTF8 else "cp437", "replace")


def _broken(reason: str) -> ProblemError:
    return bad_input(f"the body is not a valid .npz file: {reason}")
