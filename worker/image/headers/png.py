"""Read a PNG's header (W3C PNG, third edition), and check that its pixels are complete.

- The decoder gets only the chunks that make pixels: IHDR, PLTE, tRNS, IDAT and IEND. Of an animation that is
  the default image.
- Their checksums are compared, and the compressed stream has to inflate to as many bytes as the size in the
  header needs. Pillow checks neither for IDAT: a truncated image would be half black, and be classified.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tfleet.worker.image.headers.exif import orientation
from tfleet.worker.image.headers.header import (
    UPRIGHT,
    DecodeWork,
    Header,
    HeaderError,
    LimitExceededError,
    Segments,
    UnsupportedKindError,
)

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_MAX_DATA_CHUNKS: Final = 16_384  # 32 MiB in chunks of 2 KiB; most encoders write 8 KiB or more
_MAX_CHUNKS_AFTER_PIXELS: Final = 65_536  # an animation has two or more for each frame
_APPLE: Final = b"CgBI"
_MAX_LENGTH: Final = 2**31 - 1
_STEP: Final = 256 * 1024
_PIECE: Final = 16 * 1024

_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_DEPTHS: Final = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
_PALETTE: Final = 3
_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
# Adam7: first column and row of each pass, and the steps between them.
_PASSES: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


@dataclass(frozen=True, slots=True)
class _PngChunk:
    """A chunk: `length` is that of its data; `start` and `end` include length, kind and checksum."""

    kind: bytes
    length: int
    start: int
    end: int


def read(data: bytes) -> Header:
    """Read the header of a PNG. Raises HeaderError and UnsupportedKindError."""
    head = data[16:29]
    # Xcode writes this chunk in front of IHDR. Such files lack zlib's header and swap red and blue.
    if data[12:16] == _APPLE:
        raise UnsupportedKindError("PNG for iPhone apps (CgBI)")
    if data[8:16] != b"\0\0\0\x0dIHDR" or len(head) < 13:  # noqa: PLR2004 - its length
        raise HeaderError("its first chunk is not IHDR")
    kept, exif_orientation, unchanged, bounds = [SIGNATURE], UPRIGHT, True, _Bounds()
    for chunk in _chunks(data):
        bounds.add(chunk)
        if chunk.kind in _KEPT:
            # Only these: a wrong checksum in metadata harms no pixel.
            _check_checksum(data, chunk)
            kept.append(data[chunk.start : chunk.end])
        else:
            unchanged = False
            if chunk.kind == b"eXIf":
                exif_orientation = orientation(data[chunk.start + 8 : chunk.end - 4])
    if not bounds.pixels:
        raise HeaderError("it has no pixels (IDAT)")
    if head[9] == _PALETTE and not bounds.palette:
        raise HeaderError("its palette is missing, or follows its pixels")
    return _header(head, data if unchanged else b"".join(kept), exif_orientation)


def check_complete(picture: bytes) -> None:
    """Inflate the pixels of a `Header.picture` without keeping them, and count the bytes. Raises HeaderError.

    It takes about as much time as decoding, and no memory.
    """
    wanted, got, inflate = inflated_bytes(picture[16:29]), 0, zlib.decompressobj()
    try:
        for piece in _pixel_pieces(picture):
            rest = piece
            # The bound on each step's output is what makes a zip bomb harmless.
            while rest and got < wanted:
                got += len(inflate.decompress(rest, _STEP))
                rest = inflate.unconsumed_tail
            if got >= wanted or inflate.eof:
                break
    except zlib.error as error:
        raise HeaderError("its compressed pixels are damaged") from error
    if got < wanted:
        raise HeaderError("pixels are missing at its end")


def _pixel_pieces(picture: bytes) -> Iterator[bytes]:
    """The data of the IDAT chunks, in small pieces: zlib copies the unconsumed rest of a piece at each
    step.
    """
    for chunk in _chunks(picture):
        if chunk.kind == b"IDAT":
            for start in range(chunk.start + 8, chunk.start + 8 + chunk.length, _PIECE):
                yield picture[start : min(start + _PIECE, chunk.start + 8 + chunk.length)]


def inflated_bytes(head: bytes) -> int:
    """How many bytes the compressed stream of a PNG inflates to, by its IHDR: each row has a filter byte."""
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", head)
    bits = depth * _CHANNELS[colour]
    if not interlace:
        return int(height * (1 + (width * bits + 7) // 8))
    total = 0
    for left, top, across, down in _PASSES:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:  # a pass without pixels has no filter bytes either
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _header(head: bytes, picture: bytes, exif_orientation: int) -> Header:
    width, height, depth, colour, compression, filters, interlace = struct.unpack(">IIBBBBB", head)
    if (
        not width
        or not height
        or depth not in _DEPTHS.get(colour, ())
        or compression
        or filters
        or interlace > 1
    ):
        raise HeaderError("its IHDR has values that do not exist")
    work = DecodeWork(_CHANNELS[colour] * max(1, depth // 8))
    return Header("PNG", width, height, picture, exif_orientation, work)


class _Bounds:
    """Counts chunks. Those after the pixels are only skipped, and have a looser bound."""

    def __init__(self) -> None:
        self.palette = False
        """Whether a palette precedes the pixels."""
        self.pixels = 0
        """The number of IDAT chunks."""
        self._segments = Segments()
        self._after_pixels = 0

    def add(self, chunk: _PngChunk) -> None:
        """Count one more chunk. Raises LimitExceededError."""
        if chunk.kind == b"IDAT":
            self.pixels += 1
            if self.pixels > _MAX_DATA_CHUNKS:
                raise LimitExceededError(f"more than {_MAX_DATA_CHUNKS} chunks of pixels")
        elif self.pixels:
            self._after_pixels += 1
            if self._after_pixels > _MAX_CHUNKS_AFTER_PIXELS:
                raise LimitExceededError(f"more than {_MAX_CHUNKS_AFTER_PIXELS} chunks after its pixels")
        else:
            self.palette = self.palette or chunk.kind == b"PLTE"
            self._segments.add(chunk.length)


def _chunks(data: bytes) -> Iterator[_PngChunk]:
    """The chunks up to IEND or the end of the file. Raises HeaderError."""
    position = len(SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if length > _MAX_LENGTH or not kind.isalpha():
            raise HeaderError(f"a broken chunk at byte {position}")
        if position + 8 + length > len(data):
            raise HeaderError("it ends in the middle of a chunk")
        yield _PngChunk(kind, length, position, position + 12 + length)
        if kind == b"IEND":
            return
        position += 12 + length


def _check_checksum(data: bytes, chunk: _PngChunk) -> None:
    """Compare a chunk's checksum. A missing one is accepted: some files lack the last bytes of IEND."""
    stated = data[chunk.start + 8 + chunk.length : chunk.end]
    with memoryview(data) as view:
        found = zlib.crc32(view[chunk.start + 4 : chunk.start + 8 + chunk.length])
    if len(stated) == 4 and found != int.from_bytes(stated, "big"):  # noqa: PLR2004 - bytes of a checksum
        raise HeaderError(f"the checksum of its {chunk.kind.decode()} is wrong")
