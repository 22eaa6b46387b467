"""Which format some bytes are in, by their first bytes: a file's name and media type are only claims."""

from __future__ import annotations

import re
from typing import Final

# Pillow's names of the formats that are read.
READ: Final = ("JPEG", "PNG", "GIF", "BMP", "WEBP")

_PREFIXES: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),  # BigTIFF
    (b"MM\x00+", "TIFF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"8BPS", "PSD"),
    (b"%PDF-", "PDF"),
    (b"%!PS", "PostScript"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
)

# ISO base media files say what they are in the brand after `ftyp` (ISO/IEC 23008-12 for the HEIF family).
_BRANDS: Final = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"),
}

# Formats that take more than a prefix to tell. "BM" alone begins many a text; the size of the header that
# follows at offset 14 is one of few.
_PATTERNS: Final = (
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "WEBP"),
    (re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), "BMP"),
    (re.compile(rb"P[1-7][ \t\r\n#]"), "Netpbm"),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<svg[\s>]|<(?:\?xml|!--|!DOCTYPE)[^\0]*<svg[\s>])", re.I), "SVG"),
)
# Enough to find the element <svg> after the comments that drawing programs begin with.
_HEAD: Final = 1024


def sniff(data: bytes) -> str | None:
    """The format's name, one of `READ` or that of a format which is not read; None where it is no picture."""
    head = data[:_HEAD]
    for prefix, name in _PREFIXES:
        if head.startswith(prefix):
            return name
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "MP4")
    return next((name for pattern, name in _PATTERNS if pattern.match(head)), None)
