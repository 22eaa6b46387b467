"""A WebP's size from its header.

Pillow reads the size of every other format without decoding. Its WebP reader makes the decoder first, and
that allocates two canvases of 4 bytes a pixel, up to 2 GB, so the limit has to be asked before Pillow is.
"""

from __future__ import annotations

import re
from typing import Final

# The first chunk of the file: its name, 4 bytes of length, and then as RFC 9649 has it, sections 2.5 to 2.7.
_LOSSY: Final = re.compile(rb"VP8 .{4}.{3}\x9d\x01\x2a(.{2})(.{2})", re.DOTALL)
_LOSSLESS: Final = re.compile(rb"VP8L.{4}\x2f(.{4})", re.DOTALL)
_EXTENDED: Final = re.compile(rb"VP8X.{4}.{4}(.{3})(.{3})", re.DOTALL)

_CHUNK: Final = 12  # after "RIFF", the file's length and "WEBP"
_14_BITS: Final = 0x3FFF


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels as the first chunk has them; None where it is no WebP header."""
    if match := _EXTENDED.match(data, _CHUNK):
        return _little(match[1]) + 1, _little(match[2]) + 1
    if match := _LOSSLESS.match(data, _CHUNK):
        bits = _little(match[1])
        return (bits & _14_BITS) + 1, (bits >> 14 & _14_BITS) + 1
    if match := _LOSSY.match(data, _CHUNK):
        return _little(match[1]) & _14_BITS, _little(match[2]) & _14_BITS
    return None


def _little(octets: bytes) -> int:
    return int.from_bytes(octets, "little")
