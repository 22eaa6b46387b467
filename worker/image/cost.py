"""Estimate the CPU time and memory that decoding an image takes, from its header.

The figures were measured on a 2.6 GHz EPYC core and err on the high side. They decide what becomes of an
image: a cheap one is decoded in the worker's own threads, a costly one in a decoder process, which can be
killed (`Cost.isolated`), and one that costs too much is rejected (`Cost.is_too_high`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tfleet.worker.image.formats import HEIC
from tfleet.worker.image.headers.header import Header

# An image whose estimate exceeds its time limit this many times is rejected without trying: the estimates are
# high, but not by that much.
_REJECT_FACTOR: Final = 3
# Up to here an image is decoded in the worker: twice the time of a 12-megapixel photograph.
_CHEAP_S: Final = 0.15
_CHEAP_BYTES: Final = 48_000_000
# These libraries have had memory-safety bugs, or reveal the size only while they allocate. Run lengths are
# isolated as well: Pillow decodes them in Python, under the interpreter's lock.
_ALWAYS_ISOLATED: Final = frozenset({"AVIF", HEIC})
_RUN_LENGTHS: Final = "rle"

_NS: Final = 1e-9
# Per output pixel: converting, and the first pass of the resampler over a row.
_PIXEL_NS: Final = 12
# Per decoded value (a sample of one colour component).
_VALUE_NS: Final = {"JPEG": 0.4, "PNG": 12, "GIF": 8, "BMP": 2, "WEBP": 6, "AVIF": 25, HEIC: 25}
_LOSSLESS_WEBP_NS: Final = 12
_JPEG_BYTE_NS: Final = 12  # Huffman codes are decoded one by one, at any output size
_SCAN_NS: Final = 0.9  # per coefficient and scan of a progressive image
_RLE_BYTE_NS: Final = 500  # Pillow reads run lengths in Python
# Bytes per pixel at the peak. WebP: two canvases, a copy of one, and Pillow's image. Others: the image, and
# its conversions where it is transparent or has a palette.
_PIXEL_BYTES: Final = {"JPEG": 8, "WEBP": 20, "AVIF": 20, HEIC: 20}
_PICTURE_BYTES: Final = 12
_COEFFICIENT_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Cost:
    """Estimated seconds of one CPU and peak bytes of memory for decoding one image."""

    cpu_s: float
    memory_bytes: int
    isolated: bool
    """Whether the image is decoded in a decoder process instead of the worker."""

    def is_too_high(self, timeout_s: float) -> bool:
        """Whether the image is rejected without trying to decode it within `timeout_s`."""
        return is_too_slow(self.cpu_s, timeout_s)


def is_too_slow(cpu_s: float, timeout_s: float) -> bool:
    """Whether an estimate is so high that it would be in vain to try within `timeout_s`."""
    return cpu_s > _REJECT_FACTOR * timeout_s


def estimate_cost(header: Header, scale: int = 1) -> Cost:
    """The cost of decoding to 1/`scale` of each side: 1, 2, 4 or 8 for JPEG, 1 for all other formats."""
    work = header.work
    out = header.pixels / scale**2
    coefficients = header.pixels * work.values_per_pixel
    nanoseconds = out * _PIXEL_NS
    memory = out * _PIXEL_BYTES.get(header.format, _PICTURE_BYTES)
    if header.format == "JPEG":
        nanoseconds += len(header.picture) * _JPEG_BYTE_NS + coefficients * _VALUE_NS["JPEG"]
        if work.buffers_coefficients:
            # `scale` saves nothing here: libjpeg buffers every coefficient before it outputs the first pixel.
            nanoseconds += coefficients * work.passes * _SCAN_NS
            memory += coefficients * _COEFFICIENT_BYTES
    elif work.coding == _RUN_LENGTHS:
        # Counted by bytes: one byte may stand for many pixels or for none.
        nanoseconds += len(header.picture) * _RLE_BYTE_NS
    elif work.coding == "lossless":
        nanoseconds += coefficients * _LOSSLESS_WEBP_NS
    else:
        nanoseconds += coefficients * _VALUE_NS[header.format]
    cpu_s = nanoseconds * _NS
    always = header.format in _ALWAYS_ISOLATED or work.coding == _RUN_LENGTHS
    return Cost(cpu_s, int(memory), always or cpu_s > _CHEAP_S or memory > _CHEAP_BYTES)
