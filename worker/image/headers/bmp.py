"""Read a BMP's header: size and pixel coding. Header sizes and fields are those of Microsoft's wingdi.h."""

from __future__ import annotations

import struct
from typing import Final

from tfleet.worker.image.headers.header import DecodeWork, Header, HeaderError, UnsupportedKindError

_FILE: Final = 14
_CORE: Final = 12
_INFO: Final = 40
_HEADERS: Final = frozenset({_CORE, _INFO, 52, 56, 64, 108, 124})
_RAW, _RLE8, _RLE4, _FIELDS = 0, 1, 2, 3
_CODINGS: Final = {
    4: "a JPEG inside",
    5: "a PNG inside",
    6: "bit fields with alpha",
    11: "CMYK",
    12: "CMYK",
    13: "CMYK",
}
_DEPTHS: Final = frozenset({1, 4, 8, 16, 24, 32})
# The bit fields that Pillow reads: red, green, blue (and alpha, for 32 bits).
_FIELDS_16: Final = frozenset({(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)})
_FIELDS_24: Final = frozenset({(0xFF0000, 0xFF00, 0xFF)})
_FIELDS_32: Final = frozenset(
    {
        (0xFF0000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0),
        (0xFF000000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
        (0, 0, 0, 0),
    }
)


def read(data: bytes) -> Header:
    """Read the header of a BMP. Raises HeaderError and UnsupportedKindError."""
    try:
        (size,) = struct.unpack_from("<I", data, _FILE)
        if size not in _HEADERS:
            raise UnsupportedKindError(f"BMP with a header of {size} bytes")
        if size == _CORE:
            width, height, _, depth = struct.unpack_from("<HHHH", data, _FILE + 4)
            coding = _RAW
        else:
            width, height, _, depth, coding = struct.unpack_from("<iiHHI", data, _FILE + 4)
            if coding == _FIELDS and depth in _DEPTHS:
                _check_fields(data, size, depth)
    except struct.error as error:
        raise HeaderError("its header is cut off") from error
    if width <= 0 or not height:
        raise HeaderError("it has no pixels")
    if depth not in _DEPTHS or coding not in {_RAW, _RLE8, _RLE4, _FIELDS}:
        raise UnsupportedKindError(
            f"BMP with {_CODINGS.get(coding, f'{depth} bits a pixel and coding {coding}')}"
        )
    return Header(
        "BMP",
        width,
        abs(height),  # negative: stored from the top
        data,
        work=DecodeWork(max(1, depth / 8), coding="rle" if coding in {_RLE8, _RLE4} else ""),
    )


def _check_fields(data: bytes, size: int, depth: int) -> None:
    # The masks follow a header of 40 bytes; a longer header has them at the same offset.
    count = 4 if size >= _INFO + 16 else 3
    masks = struct.unpack_from(f"<{count}I", data, _FILE + _INFO)
    known = {16: _FIELDS_16, 24: _FIELDS_24}.get(depth)
    wanted = (*masks, 0)[:4] if known is None else masks[:3]
    if wanted not in (_FIELDS_32 if known is None else known):
        written = ", ".join(f"{mask:x}" for mask in masks)
        raise UnsupportedKindError(f"BMP with the bit fields {written}")
