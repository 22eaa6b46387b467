"""Read a WebP's header (RFC 9649): its chunks, its canvas and its first frame.

libwebp allocates two canvases before it decodes anything, and keeps a list of all chunks. So the size is read
here, and the decoder gets the chunks of the first frame only.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from tfleet.worker.image.headers.exif import orientation
from tfleet.worker.image.headers.header import UPRIGHT, DecodeWork, Header, HeaderError, Segments

_FIRST: Final = 12  # after "RIFF", the file's length and "WEBP"
_ANIMATED, _ALPHA = 0x02, 0x10
_14_BITS: Final = 0x3FFF
# The start of a frame's chunk, RFC 9649 sections 2.5 and 2.6.
_LOSSY: Final = re.compile(rb".{3}\x9d\x01\x2a(..)(..)", re.DOTALL)
_LOSSLESS: Final = re.compile(rb"\x2f(.{4})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _RiffChunk:
    name: bytes
    start: int
    body: bytes
    end: int


def read(data: bytes) -> Header:
    """Read the header of a WebP. Raises HeaderError."""
    (size,) = struct.unpack_from("<I", data, 4)
    if size + 8 > len(data) + 1:  # an odd last chunk may lack its padding
        raise HeaderError("it ends before the length that it states")
    data = data[: size + 8 + (size & 1)]  # drop what some programs append
    first = _chunk(data, _FIRST)
    if first.name in {b"VP8 ", b"VP8L"}:
        width, height, coding = _frame_size(first)
        picture = _riff((data[first.start : first.end],))
        return Header("WEBP", width, height, picture, work=DecodeWork(4, coding=coding))
    if first.name != b"VP8X" or len(first.body) < 10:  # noqa: PLR2004 - its length
        raise HeaderError(f"its first chunk is {first.name!r}")
    return _extended(data, first)


def _extended(data: bytes, first: _RiffChunk) -> Header:
    """Read a WebP with a VP8X chunk: transparency, animation or metadata."""
    segments, kept, exif_orientation, position = Segments(), list[bytes](), UPRIGHT, first.end
    flags = first.body[0]
    width, height = (int.from_bytes(first.body[at : at + 3], "little") + 1 for at in (4, 7))
    frame: tuple[int, int, str] | None = None
    while position + 8 <= len(data):
        chunk = _chunk(data, position)
        # Pixels don't count as metadata: only the number of these chunks is bounded.
        segments.add(0 if chunk.name in {b"VP8 ", b"VP8L", b"ANMF"} else len(chunk.body))
        if chunk.name == b"EXIF":
            exif_orientation = orientation(chunk.body)
        elif chunk.name in {b"ALPH", b"ANIM"} and frame is None:
            kept.append(data[chunk.start : chunk.end])
        elif chunk.name in {b"VP8 ", b"VP8L"} and frame is None:
            frame = _frame_size(chunk)
            kept.append(data[chunk.start : chunk.end])
        elif chunk.name == b"ANMF" and flags & _ANIMATED and frame is None:
            frame = _animation_frame(chunk)
            kept.append(data[chunk.start : chunk.end])
        if frame is not None and chunk.name == b"ANMF":
            # Further frames follow, and an animation's EXIF follows them all: not worth walking thousands.
            break
        position = chunk.end
    if frame is None:
        raise HeaderError("it has no picture")
    # The flags must not announce the metadata chunks that were dropped: libwebp would look for them.
    head = bytes((flags & (_ANIMATED | _ALPHA),)) + first.body[1:10]
    picture = _riff((b"VP8X" + struct.pack("<I", len(head)) + head, *kept))
    # Canvas and frame are both allocated: the larger one is checked against the limits.
    return Header(
        "WEBP",
        max(width, frame[0]),
        max(height, frame[1]),
        picture,
        orientation=exif_orientation,
        work=DecodeWork(4, coding=frame[2]),
    )


def _animation_frame(chunk: _RiffChunk) -> tuple[int, int, str]:
    """Where a frame ends on the canvas (x, y), and its coding.

    The chunk has 16 bytes of position, size and duration, then chunks as in a still image.
    """
    if len(chunk.body) < 16 + 8:
        raise HeaderError("its first frame is cut off")
    left, top = (2 * int.from_bytes(chunk.body[at : at + 3], "little") for at in (0, 3))
    inner = _chunk(chunk.body, 16)
    if inner.name == b"ALPH":
        inner = _chunk(chunk.body, inner.end)
    width, height, coding = _frame_size(inner)
    return left + width, top + height, coding


def _frame_size(chunk: _RiffChunk) -> tuple[int, int, str]:
    if chunk.name == b"VP8L" and (match := _LOSSLESS.match(chunk.body)):
        bits = int.from_bytes(match[1], "little")
        return (bits & _14_BITS) + 1, (bits >> 14 & _14_BITS) + 1, "lossless"
    if chunk.name == b"VP8 " and (match := _LOSSY.match(chunk.body)):
        width, height = (int.from_bytes(side, "little") & _14_BITS for side in match.groups())
        if width and height:
            return width, height, "lossy"
    raise HeaderError("its first frame is broken")


def _chunk(data: bytes, position: int) -> _RiffChunk:
    if position + 8 > len(data):
        raise HeaderError("it ends before a picture begins")
    name, (length,) = data[position : position + 4], struct.unpack_from("<I", data, position + 4)
    end = position + 8 + length
    if end > len(data):
        raise HeaderError("it ends in the middle of a chunk")
    return _RiffChunk(name, position, data[position + 8 : end], end + (length & 1))


def _riff(chunks: tuple[bytes, ...]) -> bytes:
    body = b"".join(chunk + b"\0" * (len(chunk) & 1) for chunk in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
