"""What decoding a picture will take, told from its header.

The figures are of a 2.6 GHz EPYC core and err on the high side. They decide where a picture is decoded: a
cheap one in the worker's own threads, a costly one in a process of its own, which can be ended (prepare.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tfleet.worker.image.formats import HEIC
from tfleet.worker.image.headers.header import Header

# What seems to take three times what it may is not even tried.
HOPELESS: Final = 3
# Up to here a picture is decoded in the worker: twice the time of a photograph of 12 megapixels.
_CHEAP_S: Final = 0.15
_CHEAP_BYTES: Final = 48_000_000
# Libraries that have had faults in memory, or that say their size only while they allocate; and what is
# decoded in Python, under the interpreter's lock.
_ALWAYS_APART: Final = frozenset({"AVIF", HEIC})
_RUN_LENGTHS: Final = "rle"

_NS: Final = 1e-9
# For each pixel that comes out: converting, and the first pass of the resampler over a row.
_PIXEL_NS: Final = 12
# For each number that a format makes of its bytes.
_VALUE_NS: Final = {"JPEG": 0.4, "PNG": 12, "GIF": 8, "BMP": 2, "WEBP": 6, "AVIF": 25, HEIC: 25}
_LOSSLESS_WEBP_NS: Final = 12
_JPEG_BYTE_NS: Final = 12  # Huffman codes are undone one by one, whatever the size that is asked for
_SCAN_NS: Final = 0.9  # each coefficient of a picture that is read in several scans, in each scan that has it
_RLE_BYTE_NS: Final = 500  # Pillow reads run lengths in Python
# Bytes for a pixel at the peak. WebP: two canvases, a copy of one, and Pillow's picture. Others: the picture,
# and where it is transparent or has a palette its conversions.
_PIXEL_BYTES: Final = {"JPEG": 8, "WEBP": 20, "AVIF": 20, HEIC: 20}
_PICTURE_BYTES: Final = 12
_COEFFICIENT_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one CPU, and bytes of memory at the peak."""

    cpu_s: float
    memory_bytes: int
    apart: bool
    """Whether it is to be decoded in a process of its own."""


def cost_of(header: Header, scale: int = 1) -> Cost:
    """What it takes at 1/`scale` of each side (1, 2, 4 or 8), which only JPEG can be decoded at."""
    out = header.pixels / scale**2
    coefficients = header.pixels * header.values
    nanoseconds = out * _PIXEL_NS
    memory = out * _PIXEL_BYTES.get(header.format, _PICTURE_BYTES)
    if header.format == "JPEG":
        nanoseconds += len(header.picture) * _JPEG_BYTE_NS + coefficients * _VALUE_NS["JPEG"]
        if header.kept:
            nanoseconds += coefficients * header.passes * _SCAN_NS
            memory += coefficients * _COEFFICIENT_BYTES
    elif header.coding == _RUN_LENGTHS:
        nanoseconds += len(header.picture) * _RLE_BYTE_NS
    elif header.coding == "lossless":
        nanoseconds += coefficients * _LOSSLESS_WEBP_NS
    else:
        nanoseconds += coefficients * _VALUE_NS[header.format]
    cpu_s = nanoseconds * _NS
    always = header.format in _ALWAYS_APART or header.coding == _RUN_LENGTHS
    return Cost(cpu_s, int(memory), always or cpu_s > _CHEAP_S or memory > _CHEAP_BYTES)
