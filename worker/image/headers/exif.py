"""Read the orientation from EXIF data, and nothing else.

Libraries read every entry: a directory of 5,000 entries that all point to the same 60 kB turns one segment
into gigabytes. This module walks the first directory once (TIFF 6.0, page 13).
"""

from __future__ import annotations

import struct
from typing import Final

from tfleet.worker.image.headers.header import UPRIGHT

_ORIENTATION: Final = 0x0112
_SHORT: Final = 3
_ENTRY: Final = 12
_MARK: Final = b"Exif\0\0"


def orientation(exif: bytes) -> int:
    """The orientation, 1 to 8; 1 (upright) where there is none or it cannot be read.

    `exif` may begin with JPEG's `Exif` marker. Broken EXIF is no error: viewers show such an image as stored.
    """
    tiff = exif.removeprefix(_MARK)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for number in range(count):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, start + 2 + number * _ENTRY)
            if tag == _ORIENTATION:
                (value,) = struct.unpack_from(f"{order}H", tiff, start + 2 + number * _ENTRY + 8)
                return value if kind == _SHORT and 1 <= value <= 8 else UPRIGHT  # noqa: PLR2004 - EXIF's range
    except struct.error:  # it points beyond its end
        pass
    return UPRIGHT
